"""Checks of exercise 3: `Outbox.drain` on a real catalogue with an index that fails."""
# ruff: noqa: ARG002  (the index has the signatures of the real one)

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from rag_chatbot.store.database import Database
from rag_chatbot.store.outbox import BATCH, Outbox
from seedbed.errors import Busy, Unavailable

FOLDER = tempfile.TemporaryDirectory()


class Index:
    """A vector index in memory, which calls `on_upsert` after each upsert.

    The first `failures` upserts write half of their entries and fail.
    """

    url = None
    generation = ""

    def __init__(self, failures: int = 0, on_upsert: Callable[[], None] | None = None) -> None:
        self.entries: set[int] = set()
        self.sizes: list[int] = []  # of the upserts
        self.failures = failures
        self.on_upsert = on_upsert
        self.on_reopen: Callable[[], None] = lambda: None

    def reopen_if_changed(self, db: object) -> None:
        """Nothing else changes this index."""
        self.on_reopen()

    def upsert(self, name: str, ids: list[int], vectors: np.ndarray) -> None:
        self.sizes.append(len(ids))
        fails = len(self.sizes) <= self.failures
        self.entries |= set(ids[: len(ids) // 2] if fails else ids)
        if fails:
            raise Unavailable("The index went away.")
        if self.on_upsert:
            self.on_upsert()

    def delete(self, name: str, ids: list[int]) -> None:
        self.entries -= set(ids)

    def drop(self, name: str) -> None:
        self.entries.clear()


def catalogue(chunks: int) -> Database:
    """A catalogue with one document whose chunks the index has not seen."""
    database = Database(Path(tempfile.mkdtemp(dir=FOLDER.name)))
    with database.transaction() as db:
        db.execute("INSERT INTO collections VALUES (1, 'c', '[]', '[]', 'e', 'i')")
        db.execute(
            "INSERT INTO documents (id, collection_id, source, title, type, text, data_hash,"
            " chunks) VALUES (1, 1, 's', '', 'text', '', '', ?)",
            (chunks,),
        )
        for i in range(1, chunks + 1):
            key = i.to_bytes(4, "big")
            db.execute("INSERT INTO chunks VALUES (?, 1, ?, 0, 0, '', NULL, '', ?)", (i, i, key))
    for i in range(1, chunks + 1):
        add_change(database, "upsert", i)
    return database


def outbox_of(database: Database, index: Index) -> Outbox:
    """An outbox whose chunks all have the same vector."""
    vector = np.ones(3, dtype=np.float32)
    return Outbox(database, index, lambda _, ids: dict.fromkeys(ids, vector))  # type: ignore[arg-type]


def add_change(database: Database, op: str, chunk_id: int) -> None:
    database.connections.get().execute(
        "INSERT INTO outbox (op, index_name, chunk_id) VALUES (?, 'i', ?)", (op, chunk_id)
    )


def value(database: Database, query: str) -> object:
    row = database.connections.get().execute(query).fetchone()
    return row[0] if row else None


def waiting(database: Database) -> object:
    return value(database, "SELECT count(*) FROM outbox")


def generation(database: Database) -> object:
    return value(database, "SELECT value FROM meta WHERE key = 'generation'")


def expect(actual: object, expected: object, what: str) -> None:
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def try_to_write(database: Database) -> str:
    """Whether the writers' lock is free, as another thread sees it."""

    def attempt() -> str:
        try:
            with database.writing(timeout=0.01):
                return "free"
        except Busy:
            return "held"

    with ThreadPoolExecutor(1) as other_thread:
        return other_thread.submit(attempt).result()


def check_1_the_lock_is_held_while_the_index_changes() -> None:
    database, locks = catalogue(3), list[str]()
    index = Index(on_upsert=lambda: locks.append(try_to_write(database)))
    outbox_of(database, index).drain()
    expect(locks, ["held"], "the writers' lock during the change of the index")
    expect(try_to_write(database), "free", "the writers' lock afterwards")


def check_1_the_index_is_reopened_under_the_lock_and_before_it_changes() -> None:
    database, seen = catalogue(3), list[str]()
    index = Index(on_upsert=lambda: seen.append("upsert"))
    index.on_reopen = lambda: seen.append(f"reopen, lock {try_to_write(database)}")
    outbox_of(database, index).drain()
    expect(seen[:2], ["reopen, lock held", "upsert"], "what happens to the index")


def check_2_the_number_of_rows_is_returned() -> None:
    outbox = outbox_of(catalogue(20), Index())
    expect(outbox.drain(), 20, "the result of `drain` for 20 rows")
    expect(outbox.drain(), 0, "the result of `drain` for an empty outbox")


def check_2_the_oldest_rows_come_first() -> None:
    database, index = catalogue(3), Index()
    add_change(database, "delete", 2)
    add_change(database, "upsert", 2)
    add_change(database, "delete", 3)
    outbox_of(database, index).drain()
    expect(index.entries, {1, 2}, "chunk 2 deleted and added again, then 3 deleted: the index")


def check_2_at_most_one_batch_is_read_at_a_time() -> None:
    index = Index()
    outbox_of(catalogue(BATCH + 5), index).drain()
    expect(index.sizes, [BATCH, 5], f"{BATCH + 5} rows: the changes per call of the index")


def check_3_a_failure_is_raised_and_leaves_all_rows_in_the_outbox() -> None:
    database, index = catalogue(20), Index(failures=1)
    outbox = outbox_of(database, index)
    try:
        outbox.drain()
        raise AssertionError("the index failed: expected Unavailable, got no error")
    except Unavailable:
        pass
    expect(waiting(database), 20, "rows in the outbox after a failure")
    outbox.drain()
    expect(index.entries, set(range(1, 21)), "the index after a second try")


def check_4_applied_rows_are_deleted() -> None:
    database = catalogue(20)
    outbox_of(database, Index()).drain()
    expect(waiting(database), 0, "rows in the outbox after a success")


def check_4_no_other_rows_are_deleted() -> None:
    database = catalogue(20)

    def add_once() -> None:
        if len(index.sizes) == 1:
            add_change(database, "upsert", 7)

    index = Index(on_upsert=add_once)
    outbox_of(database, index).drain()
    expect(index.sizes, [20, 1], "a row added during the first call: the changes per call")


def check_4_each_change_has_a_new_generation() -> None:
    database = catalogue(3)
    outbox = outbox_of(database, Index())
    outbox.drain()
    first = generation(database)
    expect(isinstance(first, str) and first != "", True, "a generation in `meta`")
    expect(outbox.index.generation, first, "`index.generation`, equal to that in `meta`")
    add_change(database, "upsert", 1)
    outbox.drain()
    second = generation(database)
    assert second != first, f"after a second change: expected a new generation, got {second!r}"
    expect(outbox.index.generation, second, "`index.generation`, equal to that in `meta`")


def check_4_rows_and_generation_change_in_one_transaction() -> None:
    """A trigger makes one of the two writes fail: the other must be undone."""
    for table, write in (("meta", "INSERT"), ("outbox", "DELETE")):
        database = catalogue(3)
        database.connections.get().execute(
            f"CREATE TRIGGER fails BEFORE {write} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        try:
            outbox_of(database, Index()).drain()
        except Exception:  # the catalogue may translate the error
            actual = (waiting(database), generation(database))
        else:
            actual = ("no error", None)
        case = f"the write to `{table}` failed: rows in the outbox and generation"
        expect(actual, (3, None), case)


def check_5_all_batches_are_applied() -> None:
    database, index = catalogue(BATCH + 5), Index()
    count = outbox_of(database, index).drain()
    actual = (count, len(index.entries), waiting(database))
    case = f"{BATCH + 5} rows: the result, entries in the index, rows left in the outbox"
    expect(actual, (BATCH + 5, BATCH + 5, 0), case)


def check_5_rows_that_are_added_meanwhile_are_applied_too() -> None:
    database = catalogue(3)
    index = Index(on_upsert=lambda: len(index.sizes) > 1 or add_change(database, "upsert", 2))
    expect(outbox_of(database, index).drain(), 4, "3 rows, and one added meanwhile: the result")
    expect(waiting(database), 0, "3 rows, and one added meanwhile: rows left in the outbox")
