"""Checks of exercise 1: attempts at one effect, in which the call fails or the worker dies."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

from agentic_workflow.effects.outbox import Claim, NotDelivered, Outbox, Rejected, Unknown
from agentic_workflow.store.database import open_database

FOLDER = tempfile.TemporaryDirectory()


def expect(attempts: str, *script: BaseException | None, repeatable: bool = False) -> None:
    """`attempts`: the status of the row at the call of the receiver, if any, and after it."""
    engine = open_database(Path(tempfile.mkdtemp(dir=FOLDER.name)) / "cases.sqlite")
    errors, log = iter(script), list[str]()

    def deliver(_payload: object, _key: str, claim: Claim) -> str:
        log.extend(row.status for row in outbox.list())
        claim()
        if error := next(errors, None):
            raise error
        return "receipt"

    receiver = SimpleNamespace(deliver=deliver, repeatable=repeatable)
    outbox = Outbox(engine, {"smtp": receiver}, "worker")
    for _ in attempts.split(", "):
        try:
            log.append(f"{getattr(outbox.perform('m1:reply', 'c1', 'smtp', {}), 'status', None)},")
        except KeyboardInterrupt:
            log.append("died,")
    actual, calls = " ".join(log).strip(","), [error or "receipt" for error in script]
    assert actual == attempts, f"{repeatable=}, {calls=}: expected {attempts!r}, got {actual!r}"


def check_1_the_row_is_written_before_the_receiver_is_called() -> None:
    expect("ready done", None)


def check_2_an_effect_that_is_done_or_failed_is_not_repeated() -> None:
    expect("ready done, done", None)
    expect("ready failed, failed", Rejected("no such user"), repeatable=True)


def check_3_an_effect_that_may_have_happened_is_sent_again_only_to_a_repeatable_receiver() -> None:
    expect("ready died, in_doubt", KeyboardInterrupt())
    expect("ready died, claimed done", KeyboardInterrupt(), None, repeatable=True)


def check_4_the_row_is_claimed_when_the_receiver_calls_claim() -> None:
    expect("ready claimed, claimed done", Unknown("?"), None, repeatable=True)


def check_5_the_result_of_the_call_is_written_to_the_row() -> None:
    expect("ready ready, ready done", NotDelivered("busy"), None)
    expect("ready in_doubt, in_doubt", Unknown("connection lost"))
