"""The command line.

    research-repro run lora --scale smoke    # run the cells, judge the claims
    research-repro report lora               # one HTML file with the figures inside
    research-repro verify lora               # recompute the table from the stored results
    research-repro new my_paper              # a skeleton of your own reproduction
    research-repro serve                     # reproduce LoRA and serve the report

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
from seedbed.errors import BadInput

if TYPE_CHECKING:
    from research_repro.config import Config
    from research_repro.paper import Paper
    from research_repro.results import Comparison, Outcome
    from research_repro.runs.sweep import Event

app = cli.create_app("Reproduces papers: claims that pass or fail, with figures and a report.")
Name = Annotated[str, typer.Argument(metavar="PAPER", help="Name of a paper; `list` shows them.")]
Names = Annotated[
    list[str], typer.Argument(metavar="PAPER", help="Names of papers; `list` shows them.")
]
AtScale = Annotated[
    str, typer.Option("--scale", help="smoke (minutes), laptop (about an hour) or paper (GPUs).")
]


def _config(**overrides: Any) -> Config:
    from research_repro.config import Config
    from seedbed.observe.startup import start
    from seedbed.settings import Settings, load

    start("research_repro", load(Settings).log_level)
    return load(Config, **overrides)


def _scale(name: str) -> Scale:
    for scale in SCALES:
        if scale == name:
            return scale
    raise BadInput(f"Unknown scale {name!r}.", hint=f"Available scales: {', '.join(SCALES)}.")


@app.command(name="list")
def list_papers(as_json: Json = False) -> None:
    """List the papers."""
    from research_repro.papers import find_paper, paper_names

    folder = _config().papers_dir
    papers = [find_paper(name, folder) for name in paper_names(folder)]
    rows = [{"name": p.name, "title": p.title, "claims": len(p.claims)} for p in papers]
    table = cli.table(["name", "title", "claims"], [tuple(row.values()) for row in rows])
    show(rows, as_json, to_text=lambda _: table)


@app.command()
def run(
    papers: Names,
    scale: AtScale = "smoke",
    seeds: Annotated[
        str | None, typer.Option(help="Seeds, separated by commas. Default: the paper's.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Data of the LoRA paper: a folder with E2E, or hf:ORG/REPO@REVISION."),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Time limit in minutes.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run finished cells again.")] = False,
    as_json: Json = False,
) -> None:
    """Run papers and judge their claims; an interrupted run continues.

    Exits with status 1 if a claim that should hold at this scale does not.
    """
    from research_repro.papers import find_paper
    from research_repro.report.table import claims_table
    from research_repro.run import run_paper

    config = _config(data=data, minutes=minutes)
    outcomes = []
    for paper in [find_paper(name, config.papers_dir) for name in papers]:
        with cli.progress(unit="%") as progress:
            numbers = _numbers(seeds)
            outcome = run_paper(
                paper, _scale(scale), config, numbers, fresh=fresh, on_event=_reporter(progress)
            )
        outcomes.append(outcome)
        if not as_json:
            show(outcome, False, to_text=claims_table)
    if as_json:
        tables = [_table(outcome) for outcome in outcomes]
        show(tables[0] if len(tables) == 1 else tables)
    raise typer.Exit(0 if all(map(_passes, outcomes)) else 1)


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
    from research_repro.results import published, results_path
    from seedbed.files import write_text

    config = _config()
    reproduction = find_paper(paper, config.papers_dir)
    outcome = _outcome(config, reproduction, _scale(scale))
    path = output or results_path(config.data_dir, paper, _scale(scale)).with_suffix(".html")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, report_html(reproduction, outcome, published(paper, _scale(scale))))
    show({"report": str(path)}, as_json, to_text=lambda result: str(result["report"]))


@app.command()
def verify(paper: Name, scale: AtScale = "smoke", as_json: Json = False) -> None:
    """Recompute the table from the stored results, and compare it with the published run.

    Exits with status 1 if the stored table differs from the recomputed one.
    """
    from research_repro import results
    from research_repro.papers import find_paper

    config = _config()
    reproduction = find_paper(paper, config.papers_dir)
    outcome = _outcome(config, reproduction, _scale(scale))
    folder = results.run_path(config.data_dir, paper, _scale(scale))
    differences = results.verify(outcome, reproduction, folder)
    reference = results.published(paper, _scale(scale))
    compared = results.compare(outcome, reference) if reference else []
    value = {"differences": differences, "published": [vars(c) for c in compared]}
    show(value, as_json, to_text=lambda _: _verified(differences, compared))
    raise typer.Exit(1 if differences else 0)


@app.command()
def new(name: str, as_json: Json = False) -> None:
    """Write the skeleton of your own reproduction, which runs at once with a toy claim."""
    from research_repro.template.copy import copy_template

    folder = copy_template(name, _config().papers_dir)
    command = cli.command_line("research-repro", "run", name)
    show(
        {"folder": str(folder), "files": sorted(path.name for path in folder.iterdir())},
        as_json,
        to_text=lambda value: f"Created {value['folder']}. Run it: {command}",
    )


@app.command()
def serve(
    paper: Annotated[str, typer.Option(help="Paper that is run; `list` shows them.")] = "lora",
    scale: AtScale = "laptop",
    port: Port = 8006,
    host: Host = "127.0.0.1",
) -> None:
    """Reproduce a paper in the background, and serve the reports of all papers."""
    from research_repro.serve.app import create_app
    from seedbed.server import service
    from seedbed.settings import Settings, load

    served = create_app(_config(), load(Settings), start=(paper, _scale(scale)))
    typer.echo(f"Open http://{host}:{port}", err=True)
    service.serve(served, port=port, host=host)


@app.command()
def demo() -> None:
    """Reproduce LoRA at the smallest scale, with one seed, and check the claims.

    Exits with status 1 if a claim that should hold does not.
    """
    from research_repro.demo import run as run_demo

    raise typer.Exit(1 if run_demo(_config()) else 0)


def _outcome(config: Config, paper: Paper, scale: Scale) -> Outcome:
    """The last run at this scale, or else the published one. Raises NotFound or BadInput."""
    from research_repro.results import published, read_outcome, results_path

    path = results_path(config.data_dir, paper.name, scale)
    reference = None if path.exists() else published(paper.name, scale)
    return reference or read_outcome(path, paper)


def _reporter(progress: cli.Progress) -> Callable[[Event], None]:
    """Shows the events of a run; failed cells remain on the screen."""

    def report_event(event: Event) -> None:
        if event.kind == "failed":
            progress.print(f"{event.cell} failed: {event.reason}")
        text = f"{event.cell}, step {event.step} of {event.total}" if event.total else event.cell
        progress(int(100 * event.share), 100, text)

    return report_event


def _table(outcome: Outcome) -> dict[str, Any]:
    keys = ("id", "statement", "expected", "measured", "interval", "tolerance", "holds")
    claims = [{key: getattr(verdict, key) for key in keys} for verdict in outcome.verdicts]
    seconds = round(outcome.seconds, 1)
    return {"paper": outcome.paper, "scale": outcome.scale, "claims": claims, "seconds": seconds}


def _passes(outcome: Outcome) -> bool:
    """A claim that could not be measured does not pass: its cells failed or were not run."""
    return all(verdict.holds or not verdict.expected_to_hold for verdict in outcome.verdicts)


def _verified(differences: list[str], compared: list[Comparison]) -> str:
    lines = differences or ["The table was recomputed from the stored results: no differences."]
    words = {True: "as published", False: "unlike the published run", None: "not compared"}
    return "\n".join([*lines, *(f"{one.id}: {words[one.agrees]}" for one in compared)])


def _numbers(seeds: str | None) -> list[int] | None:
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
