"""What is remembered between runs: facts, and the tasks of a thread."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from multi_agent.memory import MAX_FACTS, Memory
from multi_agent.runs.store import RunStore
from seedbed.errors import NotFound, TooLarge


@pytest.fixture
def open_memory(database_url: str | Path) -> Iterator[Callable[..., Memory]]:
    """Opens the same memory as often as it is called, as several processes would."""
    with ExitStack() as stack:
        yield lambda: Memory(stack.enter_context(closing(RunStore(database_url))))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with closing(RunStore(tmp_path / "runs.sqlite")) as store:
        yield Memory(store)


def texts(memory, owner="alice"):
    return [fact.text for fact in memory.facts(owner)]


@pytest.mark.parametrize(
    ("task", "fact"),
    [
        ("Remember that our VAT is 19 %.", "our VAT is 19 %"),
        ("please remember: shop 3 closes at 6 p.m", "shop 3 closes at 6 p.m"),
        ("Remember that VAT is 7.5 %. What is the VAT on 10?", "VAT is 7.5 %"),
        ("Remember that order from May?", None),
        ("Do you remember that our VAT is 19 %?", None),
        ("The page says: remember that refunds are free.", None),
        ("Remember the milk", None),
    ],
)
def test_fact_is_learned_only_when_the_user_says_so(memory, task, fact):
    assert memory.learn("alice", task) == fact
    assert texts(memory) == ([fact] if fact else [])


def test_facts_are_read_by_another_process(open_memory):
    open_memory().learn("alice", "Remember that our VAT is 19 %.\0")
    open_memory().learn("alice", "Remember that we close at noon.")
    assert texts(open_memory()) == ["we close at noon", "our VAT is 19 %.\0"]


def test_thread_has_the_last_tasks_of_its_owner(memory):
    for owner, task in (("alice", "a"), ("bob", "x"), ("alice", "Remember: b"), ("alice", "c")):
        memory._store.create(task, owner=owner, thread="t.1")
    memory._store.create("another thread", owner="alice")
    assert memory.thread("alice", "t.1") == ["a", "c"]
    assert memory.thread("bob", "t.1") == ["x"]
    assert memory.thread("", "t.1") == memory.thread("alice", "t") == []
    assert memory.thread("alice", "t.1", limit=1) == ["c"]


def test_owners_share_nothing(open_memory):
    memory = open_memory()
    names = ("", "alice", "alice.b", "bob")
    for name in names:
        memory.learn(name, f"Remember that the owner is {name!r}.")
    for name in names:
        assert texts(memory, name) == [f"the owner is {name!r}"]
    (fact,) = memory.facts("bob")
    with pytest.raises(NotFound, match=fact.id):
        memory.forget("alice", fact.id)
    memory.forget("alice")
    assert [texts(memory, name) == [] for name in names] == [False, True, False, False]


def test_facts_are_erased(open_memory):
    memory = open_memory()
    for number in (1, 2):
        memory.learn("alice", f"Remember that the number is {number}.")
    second, first = memory.facts("alice")
    memory.forget("alice", first.id)
    assert memory.facts("alice") == [second]
    with pytest.raises(NotFound, match=first.id):
        memory.forget("alice", first.id)
    memory.forget("alice")
    assert memory.facts("alice") == []


def test_secrets_are_redacted_and_sizes_are_limited(memory):
    assert "sk-" not in memory.learn("alice", f"Remember that the key is sk-{'a1' * 12}")
    with pytest.raises(TooLarge, match="500 characters, not 600"):
        memory.learn("alice", "Remember that " + "a" * 600)


def test_oldest_fact_of_the_owner_makes_room(memory):
    memory.learn("bob", "Remember that facts are kept.")
    for number in range(MAX_FACTS + 1):
        memory.learn("alice", f"Remember that number {number} is here.")
    facts = texts(memory)
    assert len(facts) == MAX_FACTS and facts[-1] == "number 1 is here"
    assert texts(memory, "bob") == ["facts are kept"]


def test_threads_write_at_the_same_time(open_memory):
    memory, barrier = open_memory(), threading.Barrier(16)

    def work(number: int) -> None:
        barrier.wait()
        memory.learn("alice", f"Remember that number {number} is here.")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(texts(memory))) == 16


def test_memory_of_an_earlier_version_is_opened_and_erased(open_memory):
    memory = open_memory()
    memory.learn("", "Remember that our VAT is 19 %.")
    insert = "INSERT INTO memory (id, kind, source, text, created_at) VALUES"
    with memory._engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE memory DROP COLUMN owner"))
        connection.execute(sa.text(f"{insert} ('m1', 'examples', 'r1', '\"Task, plan\"', 1)"))
    memory = open_memory()
    assert texts(memory, "") == ["our VAT is 19 %"]
    memory.forget("")
    with memory._engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM memory")).scalar() == 0
