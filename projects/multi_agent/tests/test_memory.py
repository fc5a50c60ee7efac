"""What is remembered between runs: facts, threads, and plans of past tasks."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from multi_agent.memory import MAX_ITEMS, Memory
from multi_agent.runs.store import RunStore
from multi_agent.state import Step
from seedbed.errors import ConfigError, NotFound, TooLarge

PLAN = (Step(id="s1", specialist="analyst", task="Count the orders of May 2025."),)


@pytest.fixture
def open_memory(database_url: str | Path) -> Iterator[Callable[..., Memory]]:
    """Opens the same memory as often as it is called, as several processes would."""
    with ExitStack() as stack:
        yield lambda *kinds: Memory(stack.enter_context(closing(RunStore(database_url))), *kinds)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with closing(RunStore(tmp_path / "runs.sqlite")) as store:
        yield Memory(store)


def texts(memory, owner="alice"):
    return [item.text for item in memory.items(owner)]


@pytest.mark.parametrize(
    ("task", "fact"),
    [
        ("Remember that our VAT is 19 %.", "our VAT is 19 %"),
        ("please remember: shop 3 closes at 6 p.m", "shop 3 closes at 6 p.m"),
        ("Merke dir, dass Anna den Einkauf leitet.", "Anna den Einkauf leitet"),
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


def test_items_are_read_by_another_process(open_memory):
    memory = open_memory()
    memory.learn("alice", "Remember that our VAT is 19 %.\0")
    memory.add_example("alice", "r1", "Orders in May 2025?", PLAN)
    example, fact = open_memory().items("alice")
    assert (fact.kind, fact.source, fact.text) == ("facts", "user", "our VAT is 19 %.\0")
    assert (example.kind, example.source) == ("examples", "r1")
    plan = "s1 analyst: Count the orders of May 2025."
    assert example.text == f"Task: Orders in May 2025?\nPlan: {plan}"


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
        assert texts(memory, name) == memory.notes(name, "Who is owner?")
        assert texts(memory, name) == [f"the owner is {name!r}"]
    (item,) = memory.items("bob")
    with pytest.raises(NotFound, match=item.id):
        memory.forget("alice", item.id)
    memory.forget("alice")
    assert [texts(memory, name) == [] for name in names] == [False, True, False, False]


def test_fact_expires(open_memory):
    memory = open_memory()
    memory.learn("alice", "Remember for 2 weeks that the shop is closed.")
    (item,) = memory.items("alice")
    assert (item.expires_at - item.created_at).days == 14
    memory.learn("alice", "Remember that the shop is open.")
    with memory._engine.begin() as connection:
        connection.execute(sa.text("UPDATE memory SET expires_at = 1 WHERE expires_at > 1"))
        rows = connection.execute(sa.text("SELECT count(*) FROM memory")).scalar()
    assert rows == 2
    assert texts(memory) == memory.notes("alice", "shop") == ["the shop is open"]
    memory.learn("alice", "Remember that the sky is blue.")  # purges
    with memory._engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM memory")).scalar() == 2


def test_notes_prefer_rare_words_and_ignore_the_rest(memory):
    memory.learn("alice", "Remember that our VAT is 19 %.")
    memory.learn("alice", "Remember that orders of the shop are paid on delivery.")
    for city in ("Kiel", "Bonn"):
        memory.add_example("alice", "r1", f"How many orders came from {city}?", PLAN)
    assert memory.notes("alice", "What is the VAT on 250?") == ["our VAT is 19 %"]
    (best,) = memory.notes("alice", "How many orders came from Bonn in 2024?", limit=1)
    assert best.startswith("Task: How many orders came from Bonn?\nPlan: s1 analyst:")
    assert memory.notes("alice", "Which kayak?") == []


def test_kind_that_is_off_is_neither_written_nor_read(open_memory):
    memory = open_memory()
    memory.learn("alice", "Remember that our VAT is 19 %.")
    memory._store.create("VAT?", owner="alice", thread="t")
    examples = open_memory("examples")
    assert examples.learn("alice", "Remember that our VAT is 7 %.") is None
    examples.add_example("alice", "r1", "VAT?", PLAN)
    assert [item.kind for item in examples.items("alice")] == ["examples"]
    assert examples.thread("alice", "t") == [] and memory.thread("alice", "t") == ["VAT?"]
    none = open_memory("")
    none.add_example("alice", "r1", "VAT?", PLAN)
    assert none.items("alice") == none.notes("alice", "VAT") == []
    assert texts(open_memory("facts")) == ["our VAT is 19 %"]
    none.forget("alice")
    assert texts(memory) == []


def test_unknown_kind_is_a_config_error(tmp_path):
    with (
        closing(RunStore(tmp_path / "runs.sqlite")) as store,
        pytest.raises(ConfigError, match="AGENTS_MEMORY: unknown kind 'fact'"),
    ):
        Memory(store, "thread,fact")


def test_items_are_erased(open_memory):
    memory = open_memory()
    for number in (1, 2):
        memory.learn("alice", f"Remember that the number is {number}.")
    second, first = memory.items("alice")
    memory.forget("alice", first.id)
    assert memory.items("alice") == [second]
    with pytest.raises(NotFound, match=first.id):
        memory.forget("alice", first.id)
    memory.forget("alice")
    assert memory.items("alice") == []


def test_secrets_are_redacted_and_sizes_are_limited(memory):
    assert "sk-" not in memory.learn("alice", f"Remember that the key is sk-{'a1' * 12}")
    with pytest.raises(TooLarge, match="500 characters, not 600"):
        memory.learn("alice", "Remember that " + "a" * 600)
    memory.add_example("alice", "r1", "a" * 100_000, PLAN)
    assert max(map(len, texts(memory))) == 2_000


def test_oldest_items_of_the_owner_make_room(memory):
    for owner in ("alice", "bob"):
        memory.learn(owner, "Remember that facts are kept.")
    row = "'x' || n, 'alice', 'examples', 'r', '\"old\"', n"
    numbers = f"WITH RECURSIVE c(n) AS (SELECT 1 UNION SELECT n + 1 FROM c LIMIT {MAX_ITEMS})"
    columns = "(id, owner, kind, source, text, created_at)"
    with memory._engine.begin() as connection:
        connection.execute(sa.text(f"INSERT INTO memory {columns} {numbers} SELECT {row} FROM c"))
    memory.add_example("bob", "r1", "new", PLAN)
    memory.add_example("alice", "r1", "new", PLAN)
    assert len(memory.items("bob")) == 2
    items = memory.items("alice")
    assert len(items) == MAX_ITEMS + 1
    assert {"x1", "x2"} & {item.id for item in items} == {"x2"}


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


def test_memory_of_an_earlier_version_is_opened(open_memory):
    memory = open_memory()
    memory.learn("", "Remember that our VAT is 19 %.")
    insert = "INSERT INTO memory (id, kind, source, text, created_at) VALUES"
    with memory._engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE memory DROP COLUMN owner"))
        connection.execute(
            sa.text(f"{insert} ('m1', 'episodes', 't', '\"Task, plan, answer\"', 1)")
        )
        connection.execute(sa.text(f"{insert} ('m2', 'thread', 't', '\"Task\"', 1)"))
    memory = open_memory()
    assert texts(memory, "") == ["our VAT is 19 %"]
    memory.forget("")
    with memory._engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM memory")).scalar() == 0
