"""The case database, on SQLite and on a real Postgres."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentic_workflow.case import Draft, Mail, Triage
from agentic_workflow.store.store import Store, case_id
from seedbed.errors import Conflict, NotFound

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
POSTGRES = pytest.param("postgres", marks=pytest.mark.slow)


class Clock:
    """A clock that tests set."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", POSTGRES])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'data' / 'cases.sqlite'}"
    return str(request.getfixturevalue("new_postgres_url")())


@pytest.fixture
def store(url: str, clock: Clock) -> Iterator[Store]:
    store = Store(url, clock)
    yield store
    store.close()


def mail(number: int = 1, **fields: Any) -> Mail:
    values = {"message_id": f"{number}@example.com", "content_hash": f"hash {number}"}
    values |= {"sender": "bob@example.com", "subject": "Parcel", "text": "Where is it?"}
    return Mail(**{**values, **fields})


def receive(store: Store, number: int = 1, **fields: Any) -> str:
    return store.receive(mail(number, **fields))[0].id


def wait_for_approval(store: Store, number: int = 1, hours: float = 1) -> str:
    id = receive(store, number)
    store.update(id, status="working", draft=Draft(subject="Re: Parcel", body="Soon."))
    store.request_approval(id, ["A large sum."], NOW + hours * HOUR)
    return id


# ── cases ───────────────────────────────────────────────────────────────────────────────────


def test_same_mail_is_the_same_case(store: Store) -> None:
    first, new = store.receive(mail())
    again, new_again = store.receive(mail())
    assert (new, new_again) == (True, False)
    assert again == first and first.id == case_id(mail())
    other, new = store.receive(mail(content_hash="other"))  # with a known Message-ID
    assert new and other.id != first.id


def test_mail_with_characters_that_postgres_refuses_is_stored(store: Store) -> None:
    id = receive(store, subject="a\0b \ud800", text="x\0y \udfff", sender="b\0b@example.com")
    store.record(id, "note", reason="a\0b", evidence=["a\0b"])
    record = store.case(id)
    assert record.subject == "a\ufffdb ?"
    assert record.mail.text.startswith("x")
    assert store.events(id)[-1].reason == "a\ufffdb"


def test_unknown_case_is_not_found(store: Store) -> None:
    for call in (store.case, lambda id: store.update(id, status="working")):
        with pytest.raises(NotFound, match="c0"):
            call("c0")


def test_duplicate_of_names_the_first_case_with_the_same_content(
    store: Store, clock: Clock
) -> None:
    first = receive(store, 1, content_hash="same")
    second = receive(store, 2, content_hash="same")
    other = receive(store, 3, content_hash="other")
    third = receive(store, 4, content_hash="same")
    duplicates = [store.duplicate_of(store.case(id)) for id in (first, second, other, third)]
    assert duplicates == [None, first, None, first]
    clock.now += timedelta(days=31)
    fourth = receive(store, 5, content_hash="same")
    assert store.duplicate_of(store.case(fourth)) == first  # still open
    for id in (first, second, third):
        store.update(id, status="closed")
    assert store.duplicate_of(store.case(fourth)) is None  # a new request
    assert store.standing(store.case(fourth)).same_case in (first, second, third)


def test_closed_case_is_not_reopened_by_a_late_worker(store: Store, clock: Clock) -> None:
    id = receive(store)
    store.update(id, status="closed", closed_by="anna")
    clock.now += HOUR
    for status in ("working", "waiting", "failed"):
        with pytest.raises(Conflict, match="closed"):
            store.update(id, status=status)
    store.update(id, status="closed", outcome="again")  # a repetition changes nothing
    record = store.case(id)
    assert (record.closed_at, record.closed_by, record.outcome) == (NOW, "anna", "")


# ── lists and search ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("rückgabe", True),
        ("bob@example", True),
        ("garten Rückgabe", True),
        ("garten refund", False),
        ("' OR 1=1", False),
    ],
)
def test_search_finds_cases_with_all_words(store: Store, query: str, found: bool) -> None:
    receive(store, subject="Rückgabe zu #10234", text="Der Gartenschlauch O'Neill ist undicht")
    receive(store, 2, sender="eve@example.org")
    assert [case.subject for case in store.cases(text=query)] == found * ["Rückgabe zu #10234"]


# ── approvals ───────────────────────────────────────────────────────────────────────────────


def test_two_people_who_decide_at_once_get_one_success(store: Store) -> None:
    def decide(name: str) -> Exception | None:
        barrier.wait()
        try:
            store.decide_approval(id, "approve", name)
        except Conflict as error:
            return error
        return None

    for number in range(5):
        id, barrier = wait_for_approval(store, number), threading.Barrier(2)
        with ThreadPoolExecutor() as pool:
            errors = list(pool.map(decide, ("anna", "ben")))
        (winner,) = [e.actor for e in store.events(id) if e.kind == "approve"]
        (message,) = [str(error) for error in errors if error]
        assert f"was decided by {winner} (approve)" in message


def test_waiting_and_expired_cases_depend_on_the_time(store: Store) -> None:
    late, soon = wait_for_approval(store, 1, hours=4), wait_for_approval(store, 2, hours=2)
    assert [case.id for case in store.waiting()] == [soon, late]
    assert store.waiting()[0].due_at == NOW + 2 * HOUR
    assert [case.id for case in store.waiting(NOW + 3 * HOUR)] == [soon]
    store.decide_approval(soon, "reject", "deadline")
    assert store.waiting(NOW + 3 * HOUR) == []
    urgent = wait_for_approval(store, 3, hours=9)
    store.update(urgent, triage=Triage(category="complaint", priority="high"))
    assert [case.id for case in store.waiting()] == [urgent, late]


# ── audit trail, switches, figures ──────────────────────────────────────────────────────────


def test_what_models_cost_counts_for_one_day_in_utc(store: Store, clock: Clock) -> None:
    id = receive(store)
    store.record(id, "draft", model="m", tokens=700, cost_usd=0.5, seconds=2.0)
    assert store.spent_today() == 0.5
    clock.now += timedelta(hours=12)  # midnight
    store.record(receive(store, 2), "draft", tokens=5, cost_usd=0.25)
    assert store.spent_today() == 0.25


def test_follow_ups_of_a_sender_are_one_thread(store: Store) -> None:
    first, other = receive(store, 1), receive(store, 2)
    reply = f"{first}.9f@desk.example"
    second = receive(store, 3, in_reply_to=(reply,))
    third = receive(store, 4, in_reply_to=("1@example.com", mail(3).message_id))
    receive(store, 5, in_reply_to=(reply,), sender="eve@example.com")  # who may know the id
    for id in (first, second, third):
        assert [case.id for case in store.thread(id)] == [first, second, third]
    assert [case.id for case in store.thread(other)] == [other]
