"""The command line.

    research-repro run ddim --scale smoke    # run the cells, judge the claims
    research-repro report ddim               # one HTML file with the figures inside
    research-repro new my_paper              # a complete small reproduction to replace with yours
    research-repro serve                     # all reports; runs the first paper if it was not yet

Commands parse options and print results; the work is done in `run.py`. Heavy imports are inside the
commands, so that `--help` is quick.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from research_repro.paper import Scale
from seedbed import cli
from seedbed.cli import Host, Json, Port, show
from seedbed.errors import BadInput, SeedbedError

if TYPE_CHECKING:
    from research_repro.config import Config
    from research_repro.paper import Paper

app = cli.create_app("Reproduces papers: claims that pass or fail, with figures and a report.")
Name = Annotated[str, typer.Argument(metavar="PAPER", help="Name of a paper; `list` shows them.")]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PAPER]...", help="Names of papers; without one, all that are here."),
]
AtScale = Annotated[Scale, typer.Option("--scale", help="smoke (minutes) or laptop (hours).")]


def _config(**overrides: Any) -> Config:
    from research_repro.config import Config
    from seedbed.observe.logs_and_traces import start
    from seedbed.settings import Settings, load

    start("research_repro", load(Settings).log_level)
    return load(Config, **overrides)


def _papers(names: list[str] | None, config: Config) -> list[Paper]:
    from research_repro.papers import find_paper, load_papers

    if names:
        return [find_paper(name, config.papers_dir) for name in names]
    return load_papers(config.papers_dir)[0]


@app.command(name="list")
def list_papers() -> None:
    """List the papers."""
    rows = [(paper.name, paper.title, len(paper.claims)) for paper in _papers(None, _config())]
    typer.echo(cli.table(["name", "title", "claims"], rows))


@app.command()
def run(
    papers: Names = None,
    scale: AtScale = "smoke",
    seeds: Annotated[
        str | None, typer.Option(help="Seeds, such as 0,1,2. Default: the paper's.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time limit in minutes.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard these seeds' results.")] = False,
    as_json: Json = False,
) -> None:
    """Run papers and judge their claims; an interrupted run continues.

    Exits with status 1 if a claim that can be tested at this scale fails, unless that failure is
    published with the same reason; and if a tolerance differs from the published one.
    """
    config = _config(minutes=minutes)
    tables = [
        _run(paper, scale, config, _numbers(seeds), fresh=fresh, quiet=as_json)
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
) -> dict[str, Any]:
    """Run a paper with a progress bar and print its table, unless `quiet`; returns it as JSON."""
    from research_repro.report.table import claims_table
    from research_repro.results import problems
    from research_repro.run import run_paper

    with cli.progress(unit="cell", start=paper.name) as progress:
        outcome = run_paper(paper, scale, config, seeds, fresh=fresh, progress=progress)
    lines = problems(outcome, paper)
    if not quiet:
        typer.echo("\n".join([claims_table(outcome), *lines]))
    claims = [{**asdict(verdict), "status": verdict.status} for verdict in outcome.verdicts]
    about = {"paper": paper.name, "scale": scale, "seconds": round(outcome.seconds, 3)}
    return about | {"claims": claims, "problems": lines}


@app.command()
def report(
    paper: Name,
    scale: AtScale = "smoke",
    output: Annotated[Path | None, typer.Option(help="HTML file to write.")] = None,
) -> None:
    """Write a report as one HTML file; without a run of your own, of the published one."""
    from research_repro.papers import find_paper
    from research_repro.report.html import report_html
    from research_repro.results import load_outcome, results_path
    from seedbed.files import write_text

    config = _config()
    reproduction = find_paper(paper, config.papers_dir)
    outcome = load_outcome(config.data_dir, reproduction, scale)
    path = output or results_path(config.data_dir, paper, scale).with_suffix(".html")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, report_html(reproduction, outcome))
    typer.echo(str(path))


@app.command()
def publish(papers: Names = None, scale: AtScale = "smoke") -> None:
    """Put the results of the last runs into the papers' folders, for comparison with later runs.

    Takes the seeds that the paper declares, of committed code, with a reason for each failure. One
    cell, chosen at random, is run again, and must give the same result.
    """
    from research_repro.run import publish_run

    config = _config()
    for paper in _papers(papers, config):
        typer.echo(f"Published {publish_run(paper, scale, config)}")


@app.command()
def new(name: str) -> None:
    """Write a complete small reproduction, which runs at once, to replace by your own."""
    from research_repro.template.copy import copy_template

    folder = copy_template(name, _config().papers_dir)
    command = cli.command_line("research-repro", "run", name)
    typer.echo(f"Created {folder}. Run it: {command}")


@app.command()
def serve(port: Port = 8006, host: Host = "127.0.0.1") -> None:
    """Serve the reports of all papers, and run the first one at smoke scale if it was not yet."""
    import threading

    from research_repro import results, site

    config = _config()
    paper = _papers(None, config)[0]
    site.write_site(config)
    with site.serving(config, host, port):
        typer.echo(f"Open http://{host}:{port}", err=True)
        if not results.results_path(config.data_dir, paper.name, "smoke").exists():
            try:
                _run(paper, "smoke", config)
            except SeedbedError as error:
                typer.echo(str(error), err=True)
            site.write_site(config)
        threading.Event().wait()


@app.command()
def demo() -> None:
    """Run the first paper from scratch at smoke scale with one seed, and check the claims.

    Stored results are not used, and none are left. Exits with status 1 if a claim fails.
    """
    import tempfile

    config = _config()
    with tempfile.TemporaryDirectory() as folder:
        scratch = config.model_copy(update={"data_dir": Path(folder)})
        table = _run(_papers(None, config)[0], "smoke", scratch, [0])
    raise typer.Exit(1 if table["problems"] else 0)


def _numbers(seeds: str | None) -> list[int] | None:
    """Seeds from text.

    >>> _numbers("0, 3,4"), _numbers(None)
    ([0, 3, 4], None)
    """
    if seeds is None:
        return None
    parts = [part.strip() for part in seeds.split(",") if part.strip()]
    if not all(part.isdecimal() for part in parts):
        raise BadInput(f"--seeds {seeds!r} is not a list of numbers.", hint="E.g. --seeds 0,1,2")
    return [int(part) for part in parts]


def main(arguments: list[str] | None = None) -> None:
    """The console script: errors are one line, with exit status 2."""
    cli.main(app, arguments)


if __name__ == "__main__":
    main()
