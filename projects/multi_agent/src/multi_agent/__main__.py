"""The command line.

    multi-agent serve                                     # page and API on http://127.0.0.1:8002
    multi-agent solve "How many orders came in May?"      # one task, with the evidence
    multi-agent runs                                      # past runs
    multi-agent resume RUN                                # one that failed or was stopped

Commands parse options and print results; the work is done in the other modules. Heavy imports are
inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from seedbed import cli
from seedbed.cli import Host, Json, Port, show

if TYPE_CHECKING:
    from multi_agent.config import Config
    from multi_agent.team.team import Team
    from seedbed.settings import Settings

app = cli.create_app("A team of agents that works within a budget, with evidence.")
RunId = Annotated[str, typer.Argument(help="Id of the run, as `runs` prints it.")]
Database = Annotated[
    Path | None, typer.Option("--db", help="Database to query. Default: AGENTS_DATABASE.")
]
Documents = Annotated[
    Path | None, typer.Option("--docs", help="Documents to quote. Default: AGENTS_DOCUMENTS.")
]


def _settings(**overrides: Any) -> tuple[Config, Settings]:
    from multi_agent.config import Config
    from seedbed.observe.logs_and_traces import start
    from seedbed.settings import Settings, load

    settings = load(Settings)
    start("multi_agent", settings.log_level)
    return load(Config, **overrides), settings


def _open() -> AbstractContextManager[Team]:
    from multi_agent.team.open_team import open_team

    return open_team(*_settings())


def _finish(team: Team, run_id: str, *, as_json: bool, asks: bool) -> NoReturn:
    """Print the run once it has ended. Exits with status 1 without a confident answer."""
    from multi_agent.serve.terminal import answer_text, ask

    run = team.wait(run_id)
    while asks and (question := team.question(run_id)):
        team.reply(run_id, ask(question), question["key"])
        run = team.wait(run_id)
    show(run.model_dump(mode="json"), as_json, to_text=lambda _: answer_text(run))
    raise typer.Exit(0 if run.answer and run.answer.confident else 1)


@app.command()
def serve(port: Port = 8002, host: Host = "127.0.0.1") -> None:
    """Serve the page and the API, and continue runs whose process died."""
    config, settings = _settings()
    from multi_agent.serve.api import create_app
    from multi_agent.team.open_team import open_team
    from seedbed.server import service

    with open_team(config, settings) as team:
        team.recovers = True
        if documents := team.workspace.documents:  # load the embeddings before the first task
            search = threading.Thread(target=documents.search, args=("warm up", 1), daemon=True)
            search.start()
        typer.echo(f"Open http://{host}:{port}", err=True)
        service.serve(create_app(team, settings), port=port, host=host)


@app.command()
def solve(
    task: Annotated[str, typer.Argument(help="The task, in English.")],
    database: Database = None,
    documents: Documents = None,
    thread: Annotated[str | None, typer.Option(help="Thread for follow-up questions.")] = None,
    budget: Annotated[str | None, typer.Option(help='Limits, "steps=10,seconds=30".')] = None,
    as_json: Json = False,
) -> None:
    """Solve a task and print the answer with its evidence.

    Asks on a terminal where only you can decide. Exits with status 1 without a confident
    answer.
    """
    config, settings = _settings(database=database, documents=documents, budget=budget)
    from multi_agent.team.open_team import open_team

    with open_team(config, settings) as team:
        run = team.start(task, thread)
        _finish(team, run, as_json=as_json, asks=sys.stdin.isatty())


@app.command()
def runs(
    run: Annotated[str | None, typer.Argument(help="Id of a run, to see its course.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of runs, the newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List past runs, or show one: its plan, what happened when, its cost, its answer."""
    from multi_agent.serve.terminal import run_text, runs_text

    with _open() as team:
        if run is None:
            records = team.store.runs(limit)
            values: Any = [record.model_dump(mode="json") for record in records]
            show(values, as_json, to_text=lambda _: runs_text(records))
        else:
            record, events = team.store.run(run), team.store.events(run)
            values = [event.model_dump(mode="json") for event in events]
            value = record.model_dump(mode="json") | {"events": values}
            show(value, as_json, to_text=lambda _: run_text(record, events))


@app.command()
def resume(run: RunId, as_json: Json = False) -> None:
    """Continue a run that failed or was stopped, or whose process died; or answer its question."""
    with _open() as team:
        if team.store.run(run).status != "waiting":
            team.resume(run)
        _finish(team, run, as_json=as_json, asks=True)


@app.command()
def erase(run: RunId) -> None:
    """Erase a run that has ended, with all that was recorded of it."""
    with _open() as team:
        team.erase(run)


@app.command()
def demo() -> None:
    """Solve sample tasks and check the answers. Exits with status 1 if one is wrong."""
    config, settings = _settings()
    from multi_agent.evaluate.evaluate import demo

    raise typer.Exit(1 if demo(config, settings) else 0)


@app.command(name="eval")
def evaluate(
    tasks: Annotated[Path, typer.Option(help="JSON lines with tasks and their answers.")],
    database: Database = None,
    documents: Documents = None,
    as_json: Json = False,
) -> None:
    """Measure the team on tasks whose answers are known."""
    config, settings = _settings(database=database, documents=documents)
    from multi_agent.evaluate import evaluate as evaluation

    with cli.progress(quiet=as_json, unit="task") as progress:
        result = evaluation.run(config, settings, tasks, progress)
    show(result, as_json, to_text=evaluation.to_text)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. An error is printed as one line; the exit status is 2."""
    cli.main(app, arguments)


if __name__ == "__main__":
    main()
