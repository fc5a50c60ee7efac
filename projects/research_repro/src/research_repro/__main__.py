"""The command line.

    research-repro run ddim --scale smoke    # run the cells, judge the claims
    research-repro report ddim               # one HTML file with the figures inside
    research-repro verify ddim               # recompute the table from the stored results
    research-repro new my_paper              # a complete small reproduction to replace by yours
    research-repro serve                     # all reports, while the first paper is run

Commands parse options and print results; the work is done in `run.py`. Heavy imports are inside the
commands, so that `--help` is quick.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from research_repro.paper import SCALES, Scale
from seedbed import cli
from seedbed.cli import Host, Json, Port, show
from seedbed.errors import BadInput, SeedbedError

if TYPE_CHECKING:
    from research_repro.config import Config
    from research_repro.paper import Paper
    from research_repro.results import Outcome
    from research_repro.runs.sweep import Event

app = cli.create_app("Reproduces papers: claims that pass or fail, with figures and a report.")
Name = Annotated[str, typer.Argument(metavar="PAPER", help="Name of a paper; `list` shows them.")]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PAPER]...", help="Names of papers; without one, all that are here."),
]
AtScale = Annotated[
    str, typer.Option("--scale", help="smoke (a minute or two) or laptop (up to an hour).")
]


def _config(**overrides: Any) -> Config:
    from research_repro.config import Config
    from seedbed.observe.logs_and_traces import start
    from seedbed.settings import Settings, load

    start("research_repro", load(Settings).log_level)
    return load(Config, **overrides)


def _scale(name: str) -> Scale:
    for scale in SCALES:
        if scale == name:
            return scale
    raise BadInput(f"Unknown scale {name!r}.", hint=f"Available scales: {', '.join(SCALES)}.")


def _papers(names: list[str] | None, config: Config) -> list[Paper]:
    from research_repro.papers import find_paper, load_papers

    if names:
        return [find_paper(name, config.papers_dir) for name in names]
    return load_papers(config.papers_dir)[0]


@app.command(name="list")
def list_papers(as_json: Json = False) -> None:
    """List the papers."""
    papers = _papers(None, _config())
    rows = [{"name": p.name, "title": p.title, "claims": len(p.claims)} for p in papers]
    table = cli.table(["name", "title", "claims"], [tuple(row.values()) for row in rows])
    show(rows, as_json, to_text=lambda _: table)


@app.command()
def run(
    papers: Names = None,
    scale: AtScale = "smoke",
    seeds: Annotated[
        str | None, typer.Option(help="Seeds, such as 0,1,2 or 3-5. Default: the paper's.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time limit in minutes.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard earlier results.")] = False,
    as_json: Json = False,
) -> None:
    """Run papers and judge their claims; an interrupted run continues.

    Exits with status 1 if a claim that can be tested at this scale fails, unless that failure is
    published and unchanged; and if a claim was changed after it was measured or published.
    """
    config = _config(minutes=minutes)
    tables = [
        _run(paper, _scale(scale), config, _numbers(seeds), fresh=fresh, quiet=as_json)
        for paper in _papers(papers, config)
    ]
    if as_json:
        show(tables[0] if len(tables) == 1 else tables)
    raise typer.Exit(1 if any(table["problems"] for table in tables) else 0)


def _run(
    paper: Paper,
    scale: Scale,
    config: Config,
    seeds: list[int] | None = None,
    *,
    fresh: bool = False,
    quiet: bool = False,
    on_event: Callable[[Event], None] | None = None,
) -> dict[str, Any]:
    """Run a paper with a progress bar and print its table, unless `quiet`; returns it as JSON."""
    from research_repro.report.table import claims_table
    from research_repro.results import problems
    from research_repro.run import run_paper

    with cli.progress(unit="%") as progress:

        def report_event(event: Event) -> None:
            if event.kind == "failed":
                progress.print(f"{event.cell} failed: {event.reason}")
            text = (
                f"{event.cell}, step {event.step} of {event.total}" if event.total else event.cell
            )
            progress(int(100 * event.share), 100, text)
            if on_event:
                on_event(event)

        outcome = run_paper(paper, scale, config, seeds, fresh=fresh, on_event=report_event)
    lines = problems(outcome, paper)
    if not quiet:
        typer.echo("\n".join([claims_table(outcome), *lines]))
    return _table(outcome) | {"problems": lines}


def _table(outcome: Outcome) -> dict[str, Any]:
    keys = ("id", "statement", "expected", "measured", "interval", "tolerance", "holds", "status")
    claims = [{key: getattr(verdict, key) for key in keys} for verdict in outcome.verdicts]
    seconds = round(outcome.seconds, 3)
    return {"paper": outcome.paper, "scale": outcome.scale, "claims": claims, "seconds": seconds}


@app.command()
def report(
    paper: Name,
    scale: AtScale = "smoke",
    output: Annotated[Path | None, typer.Option(help="HTML file to write.")] = None,
    as_json: Json = False,
) -> None:
    """Write a report as one HTML file; without a run of your own, of the published one."""
    from research_repro.papers import find_paper
    from research_repro.report.html import report_html
    from research_repro.results import load_outcome, published, results_path
    from seedbed.files import write_text

    config, at = _config(), _scale(scale)
    reproduction = find_paper(paper, config.papers_dir)
    outcome = load_outcome(config.data_dir, reproduction, at)
    path = output or results_path(config.data_dir, paper, at).with_suffix(".html")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, report_html(reproduction, outcome, published(reproduction, at)))
    show({"report": str(path)}, as_json, to_text=lambda result: str(result["report"]))


@app.command()
def verify(paper: Name, scale: AtScale = "smoke", as_json: Json = False) -> None:
    """Recompute the table from the stored results, and compare it with the published run.

    Exits with status 1 if anything in the stored table differs: numbers, statements, tolerances.
    """
    from research_repro import results
    from research_repro.papers import find_paper

    config, at = _config(), _scale(scale)
    reproduction = find_paper(paper, config.papers_dir)
    outcome = results.load_outcome(config.data_dir, reproduction, at)
    differences = results.verify(outcome, reproduction)
    reference = results.published(reproduction, at)
    compared = results.compare(outcome, reference) if reference else {}
    lines = differences or ["The table was recomputed from the stored results: no differences."]
    words = {True: "as published", False: "unlike the published run", None: "not compared"}
    lines = [*lines, *(f"{id_}: {words[agrees]}" for id_, (_, agrees) in compared.items())]
    published = [{"id": id_, "there": row[0], "agrees": row[1]} for id_, row in compared.items()]
    value = {"differences": differences, "published": published}
    show(value, as_json, to_text=lambda _: "\n".join(lines))
    raise typer.Exit(1 if differences else 0)


@app.command()
def publish(papers: Names = None, scale: AtScale = "smoke") -> None:
    """Put the results of the last runs into the papers' folders, for comparison with later runs.

    Refused for a failure without a reason, and for cells computed by uncommitted code.
    """
    from research_repro.results import publish as write
    from research_repro.results import read_outcome, results_path

    config, at = _config(), _scale(scale)
    for paper in _papers(papers, config):
        path = results_path(config.data_dir, paper.name, at)
        typer.echo(f"Published {write(read_outcome(path, paper.name, at), paper)}")


@app.command()
def merge(
    paper: Name,
    folder: Annotated[Path, typer.Argument(help="Data folder of the other machine.")],
    scale: AtScale = "smoke",
) -> None:
    """Add the finished cells of another machine, which ran other seeds."""
    from research_repro.papers import find_paper
    from research_repro.run import merge_cells

    config = _config()
    cells = merge_cells(find_paper(paper, config.papers_dir), _scale(scale), config, folder)
    command = cli.command_line("research-repro", "run", paper, "--scale", scale, "--seeds", "0-5")
    typer.echo(f"Added {len(cells)} cells. Judge all seeds, e.g.: {command}")


@app.command()
def new(name: str, as_json: Json = False) -> None:
    """Write a complete small reproduction, which runs at once, to replace by your own."""
    from research_repro.template.copy import copy_template

    folder = copy_template(name, _config().papers_dir)
    command = cli.command_line("research-repro", "run", name)
    show(
        {"folder": str(folder), "files": sorted(path.name for path in folder.iterdir())},
        as_json,
        to_text=lambda value: f"Created {value['folder']}. Run it: {command}",
    )


@app.command()
def serve(port: Port = 8006, host: Host = "127.0.0.1") -> None:
    """Serve the reports of all papers, and run the first one at smoke scale if it was not yet."""
    from research_repro import results, site
    from seedbed.server import service

    config = _config()
    paper = _papers(None, config)[0]
    site.write_site(config)

    def show_progress(event: Event) -> None:
        if event.kind in ("finished", "stored"):
            site.write_index(config, f"{paper.name} at smoke scale: {event.share:.0%} done")

    def work() -> None:
        if not results.results_path(config.data_dir, paper.name, "smoke").exists():
            try:
                _run(paper, "smoke", config, on_event=show_progress)
            except SeedbedError as error:
                typer.echo(str(error), err=True)
            site.write_site(config)

    typer.echo(f"Open http://{host}:{port}", err=True)
    service.serve(site.create_app(config, work), port=port, host=host)


@app.command()
def demo() -> None:
    """Run the first paper from scratch at smoke scale with one seed, and check the claims.

    Stored results are not used, and none are left. Exits with status 1 if a claim fails.
    """
    import tempfile

    config = _config()
    with tempfile.TemporaryDirectory() as folder:
        once = config.model_copy(update={"data_dir": Path(folder)})
        table = _run(_papers(None, config)[0], "smoke", once, [0])
    raise typer.Exit(1 if table["problems"] else 0)


def _numbers(seeds: str | None) -> list[int] | None:
    """Seeds from text.

    >>> _numbers("0,3-5"), _numbers(None)
    ([0, 3, 4, 5], None)
    """
    if seeds is None:
        return None
    numbers: list[int] = []
    for part in filter(None, (part.strip() for part in seeds.split(","))):
        first, _, last = part.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            hint = "E.g. --seeds 0,1,2 or --seeds 0-2"
            raise BadInput(f"--seeds {seeds!r} is not a list of numbers.", hint=hint)
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def main(arguments: list[str] | None = None) -> None:
    """The console script: errors are one line, with exit status 2."""
    cli.main(app, arguments)


if __name__ == "__main__":
    main()
