"""A help desk with scripted parts, for tests, and worker processes that run it.

    python scripted_desk.py     # forks workers, see `fork_workers`

Store, policy, outbox, queue and receivers are the real ones. The text of a mail decides what
happens to it: "refund 30.00" asks for that sum, "order 7" is about that order (or else each mail
is about its own), "explode" makes the triage fail.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from agentic_workflow.case import Draft, Mail, Passage, Triage
from agentic_workflow.config import Config
from agentic_workflow.decide.policy import PolicyFile
from agentic_workflow.decide.shop import Customer, Order
from agentic_workflow.effects.outbox import Claim, Outbox, Receiver
from agentic_workflow.effects.payments import PaymentReceiver
from agentic_workflow.effects.smtp import SmtpReceiver
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.reply.letter import Case
from agentic_workflow.sample.payments import SamplePayments
from agentic_workflow.store.store import Store
from agentic_workflow.workflow import HelpDesk, JudgingParts
from seedbed.settings import Settings, load

POLICY = """
version = 1
rule = [
  {name="automatic", when={automatic=true}, action="ignore", approval=false, why="…"},
  {name="limit", when={over_limit=true}, action="hand_over", approval=true, why="…"},
  {name="big", when={category="billing", amount_above=99}, action="refund", approval=true, why="…"},
  {name="refund", when={category="billing"}, action="refund", approval=false, why="…"},
  {name="reply", action="reply", approval=false, why="…"},
]
[limits]
case_usd = 1
day_usd = 1000
[approval]
deadline_hours = 2
default = "reject"
[retry]
attempts = 8
first_seconds = 0.2
"""


class ScriptedTriager:
    fixed = False

    def triage(self, mail: Mail) -> Triage:
        if "explode" in mail.text and not self.fixed:
            raise RuntimeError("the model exploded")
        if "kill the worker" in mail.text:
            os.kill(os.getpid(), signal.SIGKILL)
        if pause := re.search(r"pause ([\d.]+)", mail.text):
            time.sleep(float(pause[1]))
        amount = re.search(r"refund ([\d.]+\d)", mail.text)
        return Triage(
            tokens=5000 if "hard to read" in mail.text else 0,
            cost_usd=5 if "hard to read" in mail.text else 0,
            # Without a person, a refund goes back in part only if too much was paid.
            category="billing" if amount else "shipping",
            order_id=re.findall(r"(?:order|Number) (\d+)", mail.text)[0],
            amount=Decimal(amount[1]) if amount else None,
        )


class ScriptedShop:
    """A shop that never shows a refund."""

    def customer(self, _email: str) -> Customer:
        return Customer(id="K1")

    def order(self, order_id: str) -> Order:
        sums = {"total": Decimal(500), "refundable": Decimal(500)}
        return Order(id=order_id, customer_id="K1", status="returned", charges=0, **sums)


class ScriptedPassages:
    def search(self, *_: Any, **__: Any) -> list[Passage]:
        return [Passage(source="returns §2", text="Thirty days.")]


class ScriptedWriter:
    fixed = False

    def write(self, case: Case) -> Draft:
        mail = case.mail
        if "cannot be answered" in mail.text and not self.fixed:
            raise RuntimeError("the writer exploded")
        body = f"Dear customer, about: {mail.text}"
        model = "openai:gpt" if "by a model" in mail.text else ""
        return Draft(subject=f"Re: {mail.subject}", body=body, model=model)


def crash(point: str) -> None:
    """Kill this process once, if TEST_CRASH is "POINT:FILE" and FILE is new."""
    name, _, file = os.environ.get("TEST_CRASH", "").partition(":")
    if name == point:
        with suppress(FileExistsError):
            Path(file).touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)


class CrashingReceiver:
    """A receiver whose worker may die around the claim, and after the effect."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver, self.repeatable = receiver, receiver.repeatable

    def deliver(self, payload: Mapping[str, Any], key: str, claim: Claim) -> str:
        def crashing_claim() -> None:
            crash("before claim")
            claim()
            crash("after claim")

        receipt = self.receiver.deliver(payload, key, crashing_claim)
        crash("after send")
        return receipt


class CrashingStore(Store):
    """A store whose worker may die after the checkpoint of the last effect."""

    def update(self, id: str, **values: Any) -> None:
        if values.get("status") == "closed":
            crash("after checkpoint")
        super().update(id, **values)


def open_scripted_desk(
    config: Config, _settings: Any, queue: CaseQueue, executor_id: str
) -> HelpDesk:
    store = CrashingStore(config.database_url or Path(config.data_dir) / "cases.sqlite")
    policy = config.policy or Path(config.data_dir) / "policy.toml"
    if not policy.exists():
        policy.write_text(POLICY)
    fakes: list[Any] = [ScriptedTriager(), ScriptedShop(), ScriptedPassages(), ScriptedWriter()]
    receivers = {
        "smtp": CrashingReceiver(SmtpReceiver(str(config.smtp_url), config.address)),
        "payments": CrashingReceiver(PaymentReceiver(SamplePayments(config.data_dir))),
    }
    outbox = Outbox(store.engine, receivers, executor_id)
    desk = HelpDesk(JudgingParts(PolicyFile(policy), *fakes), store, outbox, queue)
    desk.understand = lambda *_: []  # the texts of these mails are orders to the script
    return desk


def mail_bytes(number: int, text: str, *, sender: str = "", **headers: str) -> bytes:
    message = EmailMessage()
    sender = sender or f"customer{number}@example.com"
    domain = sender.rpartition("@")[2]
    results = f"mx.shop.example; dmarc=pass header.from={domain}"
    message["Authentication-Results"] = results
    message["From"] = sender
    message["To"] = "help@shop.example"
    message["Subject"] = f"Order {number}"
    message["Message-ID"] = f"<mail-{number}@example.com>"
    for header, value in headers.items():
        message[header.replace("_", "-")] = value
    # A sentence whose language is certain.
    message.set_content(f"{text}\n\nPlease help me with this, thank you. Number {number}")
    return bytes(message)


def run(id: str, version: str) -> None:
    from agentic_workflow.engine.worker import run_worker

    own: Any = {"version": version, "open_desk": open_scripted_desk}
    run_worker(load(Config), load(Settings), id, **own)


def fork_workers() -> None:
    """Fork a worker for each line on stdin, which saves it the seconds that the imports take."""
    import agentic_workflow.engine.worker  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets children that ended
    for line in sys.stdin:
        order = json.loads(line)
        if pid := os.fork():
            print(pid, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for stream, number in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
            os.dup2(stream, number)
        os.environ.update(order["env"])
        try:
            run(order["id"], order["version"])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(0)


if __name__ == "__main__":
    fork_workers()
