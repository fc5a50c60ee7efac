"""Runs the main job once, without the web server: sample mails in, checked results out.

    agentic-workflow demo      # exits with status 1 if a result is wrong

A worker process takes the sample mails to their replies, a person's approval included, with a real
mail server, in a temporary folder.
"""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

import typer

from agentic_workflow.case import CaseRecord
from agentic_workflow.config import Config
from agentic_workflow.effects.outbox import Outbox
from agentic_workflow.engine.desk import check_model, open_store
from agentic_workflow.engine.intake import Intake
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.sample.smtp_server import received
from agentic_workflow.sample.start import MAILS, sample_shop
from agentic_workflow.serve.actions import Actions
from agentic_workflow.serve.processes import workers
from agentic_workflow.store.store import Store
from seedbed.server.callers import Caller
from seedbed.settings import Settings, load

TIMEOUT = 300.0  # seconds for all mails; the first start converts weights and learns the examples
# The expected results for the sample mails: status, and the action that the policy decided.
EXPECTED = {
    "01-refund-small-de": ("waiting", "reply"),
    "02-refund-large-de": ("waiting", "reply"),
    "04-shipping-late-en": ("closed", "reply"),
    "05-billing-double-en": ("closed", "refund"),
    "07-legal-en": ("waiting", "hand_over"),
    "10-account-deletion-fr": ("waiting", "reply"),
    "12-refund-cancelled-es": ("closed", "reply"),
    "14-auto-reply-de": ("waiting", "ignore"),
    "15-injection-en": ("waiting", "hand_over"),
    "16-spam-en": ("waiting", "ignore"),
    "19-refund-due-de": ("closed", "refund"),
}
APPROVED = "02-refund-large-de"


def run(config: Config) -> int:
    """Print the results, each marked as right or wrong; returns the number of wrong ones."""
    check_model(load(Settings))
    with (
        tempfile.TemporaryDirectory(prefix="help-desk-") as folder,
        sample_shop(config.model_copy(update={"data_dir": Path(folder)})) as config,
        closing(open_store(config)) as store,
        closing(CaseQueue(config)) as queue,
        workers(config, count=1),
    ):
        # 1. Take the mails in, and wait until each is closed or waits for a person.
        intake = Intake(config, store, queue)
        cases = {
            file.stem: intake.take(file.read_bytes(), by_mail_server=True).id
            for file in sorted(MAILS.glob("*"))
        }
        records = {name: _wait_for(store, case, "waiting") for name, case in cases.items()}
        right = [_compare(name, records[name], expected) for name, expected in EXPECTED.items()]
        # 2. Approve a case; the customer gets the reply.
        actions = Actions(config, store, queue, Outbox(store.engine, {}, "demo"))
        actions.answer(cases[APPROVED], "approve", by=Caller("demo"))
        record = _wait_for(store, cases[APPROVED])
        right.append(_compare(f"{APPROVED} approved", record, ("closed", "reply")))
        # 3. No reply was sent twice.
        replies = received(config.data_dir / "sent")
        repeats = replies.total() - len(replies)
        count = f"{repeats} of them again" if repeats else "none twice"
        typer.echo(f"{'✗' if repeats else '✓'} {replies.total()} replies sent, {count}")
    return right.count(False) + bool(repeats)


def _wait_for(store: Store, case_id: str, *statuses: str) -> CaseRecord:
    """The case, once no worker has anything left to do with it."""
    final = {"closed", "duplicate", "failed", "in_doubt", *statuses}
    end, pause = time.monotonic() + TIMEOUT, threading.Event()
    while (record := store.case(case_id)).status not in final and time.monotonic() < end:
        pause.wait(0.1)
    return record


def _compare(name: str, record: CaseRecord, expected: tuple[str, str]) -> bool:
    actual = (record.status, record.decision.action if record.decision else "no decision")
    right = actual == expected
    problem = "" if right else f"; expected {', '.join(expected)}: {record.outcome}"
    typer.echo(f"{'✓' if right else '✗'} {name}: {record.category}, {', '.join(actual)}{problem}")
    return right
