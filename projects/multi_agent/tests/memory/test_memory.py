"""What is remembered between runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa

from multi_agent.memory.memory import MAX_ITEMS, Memory
from multi_agent.runs.store import open_engine
from multi_agent.state import Answer, Step
from seedbed.errors import ConfigError, NotFound, TooLarge

PLAN = (Step(id="s1", specialist="analyst", task="Count the orders of May 2025."),)
ANSWER = Answer(text="412", confident=True)


@pytest.fixture
def open_memory(database_url: str | Path) -> Iterator[Callable[[], Memory]]:
    """Opens the same memory as often as it is called, as several processes would."""
    with ExitStack() as stack:

        def open_one() -> Memory:
            engine = open_engine(database_url)
            stack.callback(engine.dispose)
            return Memory(engine)

        yield open_one


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
def test_fact_is_learned_only_when_the_user_says_so(tmp_path, task, fact):
    memory = Memory(tmp_path / "memory.sqlite")
    item = memory.learn(task)
    assert (item and item.text) == fact
    assert [item.text for item in memory.items()] == ([fact] if fact else [])


def test_items_are_stored_and_read_by_another_process(open_memory):
    memory = open_memory()
    memory.learn("Remember that our VAT is 19 %.\0")
    memory.add_run("t1", "Orders in May 2025?", PLAN, ANSWER)
    again = open_memory()
    assert {(item.kind, item.source) for item in again.items()} == {
        ("facts", "user"),
        ("thread", "t1"),
        ("episodes", "t1"),
    }
    assert again.follow_up("t1", "And in June?") == "Orders in June 2025?"
    assert again.follow_up("t2", "And in June?") == "And in June?"


def test_fact_expires(open_memory):
    memory = open_memory()
    item = memory.learn("Remember for 2 weeks that the shop is closed.")
    assert (item.expires_at - item.created_at).days == 14
    memory.learn("Remember that the shop is open.")
    with memory._engine.begin() as connection:
        connection.execute(sa.text("UPDATE memory SET expires_at = 1 WHERE expires_at > 1"))
        rows = connection.execute(sa.text("SELECT count(*) FROM memory")).scalar()
    assert rows == 2
    assert [item.text for item in memory.items()] == ["the shop is open"]
    assert [item.text for item in memory.relevant("shop")] == ["the shop is open"]
    memory.learn("Remember that the sky is blue.")  # purges
    with memory._engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM memory")).scalar() == 2


def test_relevant_prefers_rare_words_and_ignores_the_rest(tmp_path):
    memory = Memory(tmp_path / "memory.sqlite")
    memory.learn("Remember that our VAT is 19 %.")
    memory.learn("Remember that orders of the shop are paid on delivery.")
    memory.add_run("t1", "How many orders came from Kiel?", PLAN, ANSWER)
    memory.add_run("t1", "How many orders came from Bonn?", PLAN, ANSWER)
    assert [i.text for i in memory.relevant("What is the VAT on 250?")] == ["our VAT is 19 %"]
    best = memory.relevant("How many orders came from Bonn in 2024?", k=1)
    assert best[0].text.startswith("Task: How many orders came from Bonn?\nPlan: s1 analyst:")
    assert memory.relevant("Which kayak?") == []


def test_failed_run_is_no_example(tmp_path):
    memory = Memory(tmp_path / "memory.sqlite")
    memory.add_run("t1", "Orders?", PLAN, Answer(text="I don't know.", confident=False))
    memory.add_run("t1", "Orders?", PLAN, Answer(text="7", confident=True, missing=("costs",)))
    assert {item.kind for item in memory.items()} == {"thread"}


def test_kind_that_is_off_is_neither_written_nor_read(tmp_path):
    path = tmp_path / "memory.sqlite"
    Memory(path).learn("Remember that our VAT is 19 %.")
    memory = Memory(path, "thread")
    assert memory.learn("Remember that our VAT is 7 %.") is None
    memory.add_run("t1", "VAT?", PLAN, ANSWER)
    assert [item.kind for item in memory.items()] == ["thread"]
    assert memory.relevant("VAT") == memory.items("facts") == []
    none = Memory(path, "")
    assert none.items() == [] and none.follow_up("t1", "and 7 %?") == "and 7 %?"
    assert [item.text for item in Memory(path, "facts").items()] == ["our VAT is 19 %"]


def test_unknown_kind_is_a_config_error(tmp_path):
    with pytest.raises(ConfigError, match="AGENTS_MEMORY: unknown kind 'fact'"):
        Memory(tmp_path / "memory.sqlite", "thread,fact")


def test_items_are_erased(open_memory):
    memory = open_memory()
    first, second = (memory.learn(f"Remember that the number is {n}.") for n in (1, 2))
    memory.forget(first.id)
    assert memory.items() == [second]
    with pytest.raises(NotFound, match=first.id):
        memory.forget(first.id)
    memory.forget_all()
    assert memory.items() == []


def test_secrets_are_redacted_and_sizes_are_limited(tmp_path):
    memory = Memory(tmp_path / "memory.sqlite")
    assert "sk-" not in memory.learn(f"Remember that the key is sk-{'a1' * 12}").text
    with pytest.raises(TooLarge, match="500 characters, not 600"):
        memory.learn("Remember that " + "a" * 600)
    memory.add_run("t1", "a" * 100_000, PLAN, ANSWER)
    assert max(len(item.text) for item in memory.items()) == 2_000


def test_oldest_items_make_room(tmp_path):
    memory = Memory(tmp_path / "memory.sqlite")
    memory.learn("Remember that facts are kept.")
    row = "('x' || n, 'thread', 't', '\"old\"', n)"
    numbers = f"WITH RECURSIVE c(n) AS (SELECT 1 UNION SELECT n + 1 FROM c LIMIT {MAX_ITEMS})"
    with memory._engine.begin() as connection:
        sql = (
            f"INSERT INTO memory (id, kind, source, text, created_at) {numbers} SELECT {row[1:-1]}"
        )
        connection.execute(sa.text(f"{sql} FROM c"))
    memory.add_run("t", "new", (), ANSWER)
    items = memory.items(limit=2 * MAX_ITEMS)
    assert len(items) == MAX_ITEMS + 1
    assert {"x1", "x2"} & {item.id for item in items} == {"x2"}


def test_threads_write_at_the_same_time(open_memory):
    memory, barrier = open_memory(), threading.Barrier(16)

    def work(number: int) -> None:
        barrier.wait()
        memory.learn(f"Remember that number {number} is here.")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({item.text for item in memory.items()}) == 16
