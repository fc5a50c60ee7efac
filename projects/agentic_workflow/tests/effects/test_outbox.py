"""The outbox's states, with receivers that fail as told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agentic_workflow.effects.outbox import (
    Claim,
    NotDelivered,
    Outbox,
    Rejected,
    Unknown,
    effect_key,
)
from agentic_workflow.store.store import Store
from seedbed.errors import Conflict

KEY = effect_key("c1", "reply")


class Scripted:
    """A receiver that plays a script: errors to raise, or None to deliver."""

    def __init__(self, *script: Exception | None, repeatable: bool = False) -> None:
        self.script, self.repeatable = list(script), repeatable
        self.before: Callable[[], Any] = lambda: None
        self.delivered, self.calls = 0, 0

    def deliver(self, _payload: Mapping[str, Any], _key: str, claim: Claim) -> str:
        self.calls += 1
        self.before()
        claim()
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        self.delivered += 1
        return "receipt"


@pytest.fixture
def open_outbox(tmp_path: Path) -> Iterator[Callable[..., Outbox]]:
    store = Store(tmp_path / "cases.sqlite")
    yield lambda receiver, id="worker-1": Outbox(store.engine, {"smtp": receiver}, id)
    store.close()


def perform(outbox: Outbox) -> Any:
    return outbox.perform(KEY, "c1", "smtp", {"to": "anna@example.com"})


def test_effect_happens_once_under_its_key(open_outbox: Callable[..., Outbox]) -> None:
    receiver = Scripted()
    outbox = open_outbox(receiver)
    assert [perform(outbox).status for _ in range(3)] == ["done"] * 3
    assert perform(open_outbox(receiver, "worker-2")).receipt == "receipt"
    assert receiver.delivered == 1


def test_rejected_effect_is_not_tried_again_until_replayed(
    open_outbox: Callable[..., Outbox],
) -> None:
    receiver = Scripted(Rejected("no such user"))
    outbox = open_outbox(receiver)
    assert [perform(outbox).status for _ in range(2)] == ["failed", "failed"]
    assert receiver.calls == 1
    assert outbox.replay(KEY, "anna") == "c1"
    assert perform(outbox).status == "done"


@pytest.mark.parametrize("happened", [True, False])
def test_unknown_effect_is_in_doubt_until_resolved(
    open_outbox: Callable[..., Outbox], happened: bool
) -> None:
    receiver = Scripted(Unknown("connection lost"))
    outbox = open_outbox(receiver)
    assert [perform(outbox).status for _ in range(2)] == ["in_doubt", "in_doubt"]
    assert [row.key for row in outbox.list("in_doubt")] == [KEY]
    assert outbox.resolve(KEY, happened, "anna") == "c1"
    with pytest.raises(Conflict, match="not in_doubt"):
        outbox.resolve(KEY, happened, "bob")
    assert perform(outbox).status == "done"
    assert receiver.delivered == (0 if happened else 1)


@pytest.mark.parametrize(("repeatable", "status"), [(False, "in_doubt"), (True, "done")])
def test_row_claimed_by_a_dead_worker(
    open_outbox: Callable[..., Outbox], repeatable: bool, status: str
) -> None:
    dead = Scripted(KeyboardInterrupt(), repeatable=repeatable)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        perform(open_outbox(dead))
    receiver = Scripted(repeatable=repeatable)
    assert perform(open_outbox(receiver, "worker-2")).status == status
    assert receiver.delivered == (1 if repeatable else 0)


def test_two_workers_with_one_effect_send_it_once(open_outbox: Callable[..., Outbox]) -> None:
    first, second = Scripted(), Scripted()
    # The second worker passes the first, which was frozen before its claim.
    first.before = lambda: perform(open_outbox(second, "worker-2"))
    assert perform(open_outbox(first)).status == "done"
    assert (first.delivered, second.delivered) == (0, 1)


def test_worker_that_was_passed_by_one_that_died_sends_nothing(
    open_outbox: Callable[..., Outbox],
) -> None:
    first, second = Scripted(), Scripted(KeyboardInterrupt())  # type: ignore[arg-type]

    def pass_first() -> None:
        with pytest.raises(KeyboardInterrupt):
            perform(open_outbox(second, "worker-2"))

    first.before = pass_first
    assert perform(open_outbox(first)).status == "in_doubt"
    assert first.delivered == 0


def test_frozen_sender_that_wakes_settles_its_doubt(open_outbox: Callable[..., Outbox]) -> None:
    other = open_outbox(Scripted(), "worker-2")
    outcomes = []

    class Frozen(Scripted):
        def deliver(self, _payload: Mapping[str, Any], _key: str, claim: Claim) -> str:
            claim()
            outcomes.append(perform(other).status)  # while this one is frozen
            self.delivered += 1
            return "late receipt"

    frozen = Frozen()
    assert perform(open_outbox(frozen)).status == "done"
    assert outcomes == ["in_doubt"]
    assert frozen.delivered == 1
    assert not other.list("in_doubt")
    assert perform(other).receipt == "late receipt"


def test_attempt_does_not_settle_a_later_one_of_the_same_worker(
    open_outbox: Callable[..., Outbox],
) -> None:
    later = open_outbox(Scripted(KeyboardInterrupt(), repeatable=True))  # type: ignore[arg-type]

    class Slow(Scripted):
        def deliver(self, _payload: Mapping[str, Any], _key: str, claim: Claim) -> str:
            claim()
            with pytest.raises(KeyboardInterrupt):
                perform(later)
            raise NotDelivered("busy")

    perform(open_outbox(Slow(repeatable=True)))
    assert [row.key for row in later.list("claimed")] == [KEY]


def refund(outbox: Outbox, case: str, number: int) -> Any:
    payload = {"order_id": "70001", "amount": "20.01", "refund_number": number}
    return outbox.perform(effect_key(case, "refund"), case, "smtp", payload)


def test_second_refund_that_does_not_know_of_the_first_is_refused(
    open_outbox: Callable[..., Outbox],
) -> None:
    receiver = Scripted(Unknown("no answer"), None, repeatable=True)
    outbox = open_outbox(receiver)
    assert outbox.refunds("70001") == (0, 0)
    assert refund(outbox, "c1", 1).status == "claimed"
    assert outbox.refunds("70001") == (1, Decimal("20.01"))  # in doubt, and counts
    refused = refund(open_outbox(receiver, "worker-2"), "c2", 1)
    assert (refused.status, receiver.calls) == ("failed", 1)
    assert "70001 got another refund" in refused.error
    with pytest.raises(Conflict, match="refund of case c1"):
        outbox.replay("c2:refund", "anna")
    assert refund(outbox, "c1", 1).status == "done"
    assert refund(outbox, "c3", 2).status == "done"  # decided with knowledge of the first


def test_refund_that_failed_counts_no_longer_and_is_not_replayed_after_another(
    open_outbox: Callable[..., Outbox],
) -> None:
    outbox = open_outbox(Scripted(Rejected("closed"), repeatable=True))
    assert refund(outbox, "c1", 1).status == "failed"
    assert outbox.refunds("70001") == (1, 0)
    assert refund(outbox, "c2", 2).status == "done"
    with pytest.raises(Conflict, match="refund of case c2"):
        outbox.replay("c1:refund", "anna")


@pytest.mark.parametrize("script", [["unknown"], ["away", "unknown", "away"]])
def test_given_up_effect_that_may_have_happened_is_in_doubt(
    open_outbox: Callable[..., Outbox], script: list[str]
) -> None:
    errors = {"unknown": Unknown("no answer"), "away": NotDelivered("away")}
    outbox = open_outbox(Scripted(*map(errors.__getitem__, script), repeatable=True))
    for _ in script:
        perform(outbox)
    assert outbox.give_up(KEY) == "in_doubt"
    assert [row.key for row in outbox.list("in_doubt")] == [KEY]
