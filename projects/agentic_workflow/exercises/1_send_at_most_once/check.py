"""Checks of exercise 1: attempts at one effect, each of a worker that may fail or die."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

from agentic_workflow.effects.outbox import Claim, NotDelivered, Outbox, Rejected, Unknown
from agentic_workflow.store.database import open_database

FOLDER = tempfile.TemporaryDirectory()


def expect(attempts: str, *script: BaseException | None, repeatable: bool = False) -> None:
    """`attempts`: for each, the status of the row before its claim, if any, and the outcome."""
    engine = open_database(Path(tempfile.mkdtemp(dir=FOLDER.name)) / "cases.sqlite")
    errors, log = list(script), list[str]()

    def deliver(_payload: object, _key: str, claim: Claim) -> str:
        log.extend(row.status for row in outbox.list())
        claim()
        if error := errors.pop(0):
            raise error
        return "receipt"

    receiver = SimpleNamespace(deliver=deliver, repeatable=repeatable)
    outbox = Outbox(engine, {"smtp": receiver}, "worker")
    for _ in attempts.split(", "):
        try:
            log.append(f"{outbox.perform('m1:reply', 'c1', 'smtp', {}).status},")
        except KeyboardInterrupt:
            log.append("died,")
    actual, case = " ".join(log).strip(","), f"{repeatable=}, the receiver raises {script}"
    assert actual == attempts, f"{case}: expected the states {attempts!r}, got {actual!r}"


def check_1_the_row_is_written_before_the_receiver_is_called() -> None:
    expect("ready done", None)


def check_2_a_settled_effect_is_not_repeated() -> None:
    expect("ready done, done", None)
    expect("ready failed, failed", Rejected("no such user"), repeatable=True)


def check_3_an_effect_that_may_have_happened_is_repeated_only_if_that_is_safe() -> None:
    expect("ready died, in_doubt", KeyboardInterrupt())
    expect("ready died, claimed done", KeyboardInterrupt(), None, repeatable=True)


def check_4_the_row_is_claimed_when_the_receiver_says_so() -> None:
    expect("ready retry, claimed done", Unknown("?"), None, repeatable=True)


def check_5_what_happened_is_written_down() -> None:
    expect("ready retry, ready done", NotDelivered("busy"), None)
    expect("ready in_doubt, in_doubt", Unknown("connection lost"))


def check_6_an_open_circuit_is_not_an_attempt() -> None:
    expect("ready retry, " * 5 + "retry, retry", *[NotDelivered("away")] * 5)
