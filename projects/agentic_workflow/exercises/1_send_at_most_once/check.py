"""Checks of exercise 1: `Outbox.perform` with receivers that fail and workers that die."""
# ruff: noqa: ARG002  (the receiver has the signatures of the real ones)

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agentic_workflow.effects.outbox import (
    FAILURES,
    Claim,
    NotDelivered,
    Outbox,
    Outcome,
    Rejected,
    Unknown,
)
from agentic_workflow.store.database import open_database
from seedbed.errors import Unavailable

FOLDER = tempfile.TemporaryDirectory()
KEY = "m1@example.com:reply:1"
PAYLOAD = {"to": "anna@example.com"}


class WorkerDied(BaseException):
    """The worker stops at once, and can write nothing down."""


class Receiver:
    """Raises the errors of its script one after another, after the claim; None delivers."""

    def __init__(self, *script: BaseException | None, repeatable: bool = False) -> None:
        self.script, self.repeatable = list(script), repeatable
        self.calls = self.effects = 0
        self.before_claim: Callable[[], Any] = lambda: None
        self.after_claim: Callable[[], Any] = lambda: None

    def deliver(self, payload: Mapping[str, Any], key: str, claim: Claim) -> str:
        self.calls += 1
        self.before_claim()
        claim()
        self.after_claim()
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        self.effects += 1
        return f"receipt {self.effects}"


class Watched(Outbox):
    """An outbox that notes the tokens of its claims."""

    tokens: tuple[str, ...] = ()

    def _claim(self, key: str, token: str, states: Any) -> None:
        self.tokens += (token,)
        super()._claim(key, token, states)


def outboxes(*receivers: Receiver, workers: str = "abcdefgh") -> list[Watched]:
    """One worker for each receiver, on the same new database."""
    engine = open_database(Path(tempfile.mkdtemp(dir=FOLDER.name)) / "cases.sqlite")
    return [Watched(engine, {"smtp": r}, w) for r, w in zip(receivers, workers, strict=False)]


def perform(outbox: Outbox) -> Any:
    outcome = outbox.perform(KEY, "c1", "smtp", PAYLOAD)
    assert isinstance(outcome, Outcome), f"the result: expected an Outcome, got {outcome!r}"
    return outcome


def die(outbox: Outbox) -> None:
    """An attempt in which the worker dies."""
    try:
        perform(outbox)
    except WorkerDied:
        return
    raise AssertionError("the worker dies: expected its exception to pass, but it was caught")


def status(outbox: Outbox) -> str:
    rows = outbox.list()
    return rows[0].status if rows else "no row"


def name(receiver: Receiver) -> str:
    return "a repeatable receiver" if receiver.repeatable else "a receiver"


def expect(actual: object, expected: object, what: str) -> None:
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def check_1_the_row_is_written_before_the_receiver_is_called() -> None:
    seen: list[object] = []
    receiver = Receiver()
    (outbox,) = outboxes(receiver)
    receiver.before_claim = lambda: seen.extend(
        (row.key, row.case_id, row.receiver, row.payload) for row in outbox.list()
    )
    perform(outbox)
    expect(seen, [(KEY, "c1", "smtp", PAYLOAD)], "rows at the start of `deliver`")


def check_2_a_settled_effect_is_not_repeated() -> None:
    for repeatable in (False, True):
        for error in (None, Rejected("no such user")):
            receiver = Receiver(error, repeatable=repeatable)
            first, second = outboxes(receiver, receiver)
            case = f"{name(receiver)} that {'rejected it' if error else 'received it'}"
            before, after = perform(first), perform(second)
            expect(receiver.calls, 1, f"{case}: calls after two attempts")
            expect(after, before, f"{case}: the outcome of the second attempt")


def check_3_an_effect_that_may_have_happened_is_not_repeated() -> None:
    for state in ("claimed", "in_doubt"):
        receiver = Receiver()
        broken = Receiver(WorkerDied() if state == "claimed" else Unknown("connection lost"))
        first, second = outboxes(broken, receiver)
        if state == "claimed":
            die(first)
        else:
            perform(first)
        outcome = perform(second)
        case = f"{state}, and the receiver cannot recognize repetitions"
        expect(receiver.effects, 0, f"{case}: effects of another attempt")
        expect(receiver.calls, 0, f"{case}: calls of another attempt")
        expect(outcome.status, "in_doubt", f"{case}: the outcome")


def check_3_a_repeatable_receiver_is_called_again() -> None:
    receiver = Receiver(repeatable=True)
    first, second = outboxes(Receiver(WorkerDied(), repeatable=True), receiver)
    die(first)
    outcome = perform(second)
    case = "claimed, and the receiver recognizes repetitions"
    expect((outcome.status, receiver.calls), ("done", 1), f"{case}: outcome and calls")


def check_3_a_repeatable_receiver_in_doubt_is_called_again() -> None:
    receiver = Receiver(repeatable=True)
    first, second = outboxes(Receiver(Unknown("connection lost")), receiver)
    perform(first)
    outcome = perform(second)
    case = "in_doubt, and the receiver recognizes repetitions"
    expect(receiver.calls, 1, f"{case}: calls")
    expect(outcome.status, "done", f"{case}: the outcome")


def check_4_the_row_is_claimed_at_the_last_moment() -> None:
    seen: list[str] = []
    receiver = Receiver()
    (outbox,) = outboxes(receiver)
    receiver.before_claim = lambda: seen.append(status(outbox))
    receiver.after_claim = receiver.before_claim
    perform(outbox)
    expect(seen, ["ready", "claimed"], "status before and after `deliver` calls `claim`")


def check_4_a_repeatable_receiver_may_claim_again() -> None:
    receiver = Receiver(Unknown("no answer"), repeatable=True)
    (outbox,) = outboxes(receiver)
    outcomes = [perform(outbox).status for _ in range(2)]
    expect(outcomes, ["retry", "done"], "a repeatable receiver that did not answer once: outcomes")


def check_4_only_one_of_two_workers_sends() -> None:
    for second, expected in ((Receiver(), "done"), (Receiver(WorkerDied()), "in_doubt")):
        first = Receiver()
        slow, fast = outboxes(first, second)
        first.before_claim = partial(die if second.script else perform, fast)
        case = f"another worker claims first and {'dies' if second.script else 'sends'}"
        outcome = perform(slow)
        expect(first.effects, 0, f"{case}: effects of this worker")
        expect(outcome.status, expected, f"{case}: the outcome of this worker")


def check_4_what_is_settled_is_not_claimed_again() -> None:
    for error in (None, Rejected("no such user")):
        first, second = Receiver(repeatable=True), Receiver(error, repeatable=True)
        slow, fast = outboxes(first, second)
        first.before_claim = partial(perform, fast)
        perform(slow)
        case = f"another worker {'is refused' if error else 'sends'} first, repeatable receivers"
        expect(first.effects, 0, f"{case}: effects of this worker")


def check_4_a_row_in_doubt_is_claimed_for_a_repeatable_receiver() -> None:
    first, second = outboxes(Receiver(Unknown("connection lost")), Receiver(repeatable=True))
    perform(first)
    perform(second)
    expect(status(second), "done", "in_doubt, and a repeatable receiver claims it: the status")


def check_4_each_attempt_has_its_own_token() -> None:
    slow, fast = Receiver(NotDelivered("busy"), repeatable=True), Receiver(WorkerDied())
    fast.repeatable = True
    first, second = outboxes(slow, fast, workers="aa")
    slow.after_claim = lambda: die(second)
    perform(first)
    case = "a second attempt of the same worker claims, and then the first reports NotDelivered"
    expect(status(second), "claimed", f"{case}: the status, which is up to the second")


def check_4_the_token_names_the_worker() -> None:
    (outbox,) = outboxes(Receiver(), workers="x")
    perform(outbox)
    (token,) = outbox.tokens
    assert token.startswith("x#"), f"the worker 'x': expected a token 'x#…', got {token!r}"


def check_5_each_result_is_written_down() -> None:
    cases: list[tuple[Exception | None, bool, str, str]] = [
        (None, False, "done", "done"),
        (Rejected("no such user"), False, "failed", "failed"),
        (Rejected("no such user"), True, "failed", "failed"),
        (NotDelivered("busy"), False, "ready", "retry"),
        (NotDelivered("busy"), True, "ready", "retry"),
        (Unknown("connection lost"), False, "in_doubt", "in_doubt"),
        (Unknown("no answer"), True, "claimed", "retry"),
    ]
    for error, repeatable, row_status, outcome_status in cases:
        receiver = Receiver(error, repeatable=repeatable)
        (outbox,) = outboxes(receiver)
        outcome = perform(outbox)
        kind = f"raises {type(error).__name__}" if error else "returns a receipt"
        case = f"{name(receiver)} {kind}"
        actual = (status(outbox), outcome.status)
        expect(actual, (row_status, outcome_status), f"{case}: status and outcome")
        (row,) = outbox.list()
        texts = ("", str(error)) if error else ("receipt 1", "")
        expect((row.receipt, row.error), texts, f"{case}: receipt and error in the row")
        expect((outcome.attempts, row.attempts), (1, 1), f"{case}: attempts")


def check_5_what_did_not_happen_is_tried_again() -> None:
    receiver = Receiver(NotDelivered("busy"))
    outcomes = [perform(outbox).status for outbox in outboxes(receiver, receiver)]
    expect(outcomes, ["retry", "done"], "NotDelivered, then another attempt: outcomes")


def check_5_errors_of_the_database_are_not_caught() -> None:
    receiver = Receiver(Unavailable("The database is away."))
    (outbox,) = outboxes(receiver)
    try:
        outcome = perform(outbox)
    except Unavailable:
        return
    raise AssertionError(f"the database is away: expected Unavailable, got {outcome}")


def check_6_an_open_circuit_is_not_an_attempt() -> None:
    receiver = Receiver(*[NotDelivered("away")] * 9)
    (outbox,) = outboxes(receiver)
    outcomes = [perform(outbox) for _ in range(FAILURES + 2)]
    case = f"{FAILURES} failures in a row, then two attempts with an open circuit"
    expect(receiver.calls, FAILURES, f"{case}: calls of the receiver")
    expect(outcomes[-1].status, "retry", f"{case}: the outcome")
    (row,) = outbox.list()
    expect((row.status, row.attempts), ("ready", FAILURES), f"{case}: status and attempts")
    expect(outcomes[-1].error != "", True, f"{case}: the outcome has an error")


def check_6_each_receiver_has_its_own_circuit() -> None:
    engine = open_database(Path(tempfile.mkdtemp(dir=FOLDER.name)) / "cases.sqlite")
    away, payments = Receiver(*[NotDelivered("away")] * FAILURES), Receiver()
    outbox = Outbox(engine, {"smtp": away, "payments": payments}, "a")
    for _ in range(FAILURES):
        perform(outbox)
    outcome = outbox.perform("m1@example.com:refund:1", "c1", "payments", PAYLOAD)
    case = f"{FAILURES} failures of the receiver smtp, then a call of payments"
    expect((outcome.status, payments.effects), ("done", 1), f"{case}: outcome and effects")
