"""The command line.

    agentic-workflow serve                        # page, API and worker on http://127.0.0.1:8005
    agentic-workflow submit mail.eml              # a mail by hand
    agentic-workflow inbox                        # what waits for a person
    agentic-workflow approve c0123456789abcde     # let the case go on

Commands parse options and print results; the work is done in the other modules. Heavy imports are
inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import getpass
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentic_workflow.serve import terminal
from seedbed import cli
from seedbed.cli import Host, Json, Port, show
from seedbed.errors import BadInput
from seedbed.server.callers import Caller

if TYPE_CHECKING:
    from agentic_workflow.config import Config
    from agentic_workflow.serve.actions import Actions
    from agentic_workflow.store.store import Store
    from seedbed.settings import Settings

app = cli.create_app("Answers a support mailbox; a person approves every risky action.")
policy_app = cli.create_app("The policy file: check it.")
app.add_typer(policy_app, name="policy")
CaseId = Annotated[str, typer.Argument(help="Id of the case, as `inbox` prints it.")]
Comment = Annotated[str, typer.Option(help="Reason, for the record.")]


def _settings() -> tuple[Config, Settings]:
    from agentic_workflow.config import Config
    from seedbed.observe.logs_and_traces import start
    from seedbed.settings import Settings, load

    settings = load(Settings)
    start("agentic_workflow", settings.log_level)
    return load(Config), settings


def _store() -> Store:
    config, _ = _settings()
    from agentic_workflow.engine.desk import open_store

    config.data_dir.mkdir(parents=True, exist_ok=True)
    return open_store(config)


def _actions() -> Actions:
    store, (config, _) = _store(), _settings()
    from agentic_workflow.effects.outbox import Outbox
    from agentic_workflow.engine.queue import CaseQueue
    from agentic_workflow.serve.actions import Actions

    return Actions(config, store, CaseQueue(config), Outbox(store.engine, {}, "cli"))


@app.command()
def serve(port: Port = 8005, host: Host = "127.0.0.1") -> None:
    """Serve the page and the API, read the mailbox, and run workers."""
    config, settings = _settings()
    from agentic_workflow.engine.desk import check_model
    from agentic_workflow.sample.start import sample_shop
    from agentic_workflow.serve.api import create_app
    from agentic_workflow.serve.processes import workers
    from seedbed.server import service

    # Otherwise only the workers would fail with this error, and the server would keep running.
    check_model(settings)
    with sample_shop(config) as config:
        config.require_parts()
        web_app = create_app(config, settings)
        with workers(config, config.workers):
            service.serve(
                web_app,
                port=port,
                host=host,
                bound_to=lambda port: typer.echo(f"Open http://{host}:{port}", err=True),
            )


@app.command()
def worker(
    id: Annotated[str, typer.Option(help="Name of this worker, unique and the same each time.")],
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
) -> None:
    """Run cases until SIGTERM. Several workers, on several machines, share a Postgres database."""
    config, settings = _settings()
    from agentic_workflow.engine.worker import run_worker

    if with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    run_worker(config, settings, id)


def _end_with_parent() -> None:
    # Not `sys.stdin.read()`, whose lock the interpreter needs when it ends.
    os.read(sys.stdin.fileno(), 1)  # returns when the parent has closed the pipe, or has died
    os.kill(os.getpid(), signal.SIGTERM)


@app.command()
def submit(
    files: Annotated[list[Path], typer.Argument(help="Mails (.eml), or folders of them.")],
    as_json: Json = False,
) -> None:
    """Take mails in. A mail that came before changes nothing."""
    actions = _actions()
    from agentic_workflow.engine.intake import Intake

    intake = Intake(actions.config, actions.store, actions.queue)
    paths = [p for f in files for p in (sorted(f.rglob("*.eml")) if f.is_dir() else [f])]
    if not paths:
        raise BadInput("There are no .eml files.", hint="Name a file, or a folder that has some.")
    records = [(path, intake.take(path.read_bytes())) for path in paths]
    cases = [{"file": str(path), "case": r.id, "status": r.status} for path, r in records]
    show(cases, as_json, to_text=lambda rows: "\n".join(f"{r['case']}  {r['file']}" for r in rows))


@app.command()
def inbox(as_json: Json = False) -> None:
    """List the cases that wait for a person."""
    waiting = [case.model_dump(mode="json") for case in _store().waiting()]
    show(waiting, as_json, to_text=terminal.inbox)


@app.command()
def case(case_id: CaseId, as_json: Json = False) -> None:
    """Show a case: the mail, the decision with its reasons, the draft and the timeline."""
    show(_actions().details(case_id).model_dump(mode="json"), as_json, to_text=terminal.case)


@app.command()
def approve(
    case_id: CaseId,
    body: Annotated[
        Path | None, typer.Option(help="Text file that replaces the draft of the reply.")
    ] = None,
    comment: Comment = "",
) -> None:
    """Approve a case: its refund is booked, and its reply is sent."""
    _answer(case_id, "approve", body, comment)


@app.command()
def reject(case_id: CaseId, comment: Comment = "") -> None:
    """Close a case without a refund and without a reply."""
    _answer(case_id, "reject", None, comment)


def _answer(case_id: str, decision: Any, body: Path | None, comment: str) -> None:
    text = body.read_text("utf-8") if body else None
    person = Caller(getpass.getuser(), operator=True)
    record = _actions().answer(case_id, decision, person, body=text, comment=comment)
    typer.echo(f"{record.id}: {decision}, {record.status}")


@app.command()
def corrections() -> None:
    """Print the mails whose category people changed, as labelled examples (JSON lines)."""
    for correction in _store().corrections():
        typer.echo(json.dumps(correction, ensure_ascii=False))


@policy_app.command()
def check(
    policy: Annotated[
        Path | None, typer.Argument(help="Policy file. Default: WORKFLOW_POLICY, or the shop's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a policy file; exits with status 2 and the line of the first mistake."""
    config, _ = _settings()
    from agentic_workflow.decide.policy import SHOP_POLICY, load_policy

    path = policy or config.policy or SHOP_POLICY
    loaded = load_policy(path)
    result = {"file": str(path), "version": loaded.version, "rules": len(loaded.rules)}
    show(result, as_json, to_text="{0[file]}: valid, {0[rules]} rules, {0[version]}".format)


@app.command(name="eval")
def evaluate(
    inbox: Annotated[Path, typer.Option(help="Folder of mails (.eml).")],
    gold: Annotated[Path, typer.Option(help="JSON lines with the right answers.")],
    as_json: Json = False,
) -> None:
    """Measure triage and policy on mails whose answers are known. Nothing is sent."""
    config, settings = _settings()
    from agentic_workflow.engine.desk import judging_parts
    from agentic_workflow.evaluate import mails
    from agentic_workflow.sample.start import sample_shop
    from seedbed.runs.evaluation import log_to_mlflow

    answers = mails.read_gold(gold, inbox)  # a mistake is reported before models are loaded
    with sample_shop(config) as config, cli.progress(quiet=as_json, unit="mail") as progress:
        results = mails.run(judging_parts(config, settings), inbox, answers, progress)
    report = mails.report(results)
    log_to_mlflow(report)
    typer.echo(report.to_json() if as_json else mails.to_text(results))


@app.command()
def demo() -> None:
    """Take the sample mails to their replies, approve one, and check the results.

    Exits with status 1 if a result is wrong.
    """
    config, _ = _settings()
    from agentic_workflow.sample.demo import run

    raise typer.Exit(1 if run(config) else 0)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line. An error is printed as one line; the exit status is 2."""
    cli.main(app, arguments)


if __name__ == "__main__":
    main()
