"""Checks of exercise 3: `IndexSync.apply` on a real catalogue with an index that fails."""
# ruff: noqa: ARG002  (the index has the signatures of the real one)

import tempfile
from pathlib import Path

import numpy as np

from rag_chatbot.store.database import Database
from rag_chatbot.store.vector_index import BATCH, IndexSync
from seedbed.errors import Unavailable


class Index:
    """A vector index in memory; it fails at the calls that `fails_at` names, after doing half."""

    url = None

    def __init__(self, fails_at: tuple[int, ...] = ()) -> None:
        self.held: set[int] = set()
        self.calls = 0
        self.fails_at = fails_at

    def upsert(self, name: str, ids: list[int], vectors: np.ndarray) -> None:
        self.calls += 1
        half = len(ids) // 2 if self.calls in self.fails_at else len(ids)
        self.held |= set(ids[:half])
        if half < len(ids):
            raise Unavailable("The index went away.")

    def delete(self, name: str, ids: list[int]) -> None:
        self.held -= set(ids)

    def drop(self, name: str) -> None:
        self.held.clear()


def catalogue(chunks: int) -> Database:
    """A catalogue with one document whose chunks the index has not seen."""
    database = Database(Path(tempfile.mkdtemp()))
    with database.transaction() as db:
        db.execute("INSERT INTO collections VALUES (1, 'c', '[]', '[]', 'e', 'i')")
        db.execute(
            "INSERT INTO documents (id, collection_id, source, title, type, text, data_hash,"
            " chunks) VALUES (1, 1, 's', '', 'text', '', '', ?)",
            (chunks,),
        )
        vector = np.ones(3, dtype=np.float32).tobytes()
        for i in range(1, chunks + 1):
            key = i.to_bytes(4, "big")
            db.execute("INSERT INTO vectors VALUES (?, 'e', ?)", (key, vector))
            db.execute("INSERT INTO chunks VALUES (?, 1, ?, 0, 0, '', NULL, '', ?)", (i, i, key))
            add_change(db, i)
    return database


def add_change(db, chunk_id: int) -> None:  # type: ignore[no-untyped-def]
    db.execute(
        "INSERT INTO outbox (op, index_name, chunk_id) VALUES ('upsert', 'i', ?)", (chunk_id,)
    )


def waiting(database: Database) -> int:
    return database.connections.get().execute("SELECT count(*) FROM outbox").fetchone()[0]


def check_all_changes_reach_the_index() -> None:
    database, index = catalogue(20), Index()
    done = IndexSync(database, index).apply()
    assert index.held == set(range(1, 21)), f"the index has {len(index.held)} of 20 chunks"
    assert done == 20, f"apply should return 20, the number of changes, not {done!r}"
    assert waiting(database) == 0, f"{waiting(database)} changes still wait after a success"


def check_more_changes_than_one_batch() -> None:
    database, index = catalogue(BATCH + 5), Index()
    done = IndexSync(database, index).apply()
    assert done == BATCH + 5, f"{done!r} of {BATCH + 5} changes were applied"


def check_a_failure_forgets_nothing() -> None:
    database, index = catalogue(20), Index(fails_at=(1,))
    syncing = IndexSync(database, index)
    syncing._check_at = float("inf")
    try:
        syncing.apply()
        raise AssertionError("the index failed, and apply did not say so")
    except Unavailable:
        pass
    assert waiting(database) == 20, f"only {waiting(database)} of 20 changes still wait"
    assert syncing._check_at == 0.0, "the next search will not repair: _check_at is not 0"
    syncing.apply()
    assert index.held == set(range(1, 21)), "after the second try the index is not complete"


def check_a_change_that_arrives_meanwhile() -> None:
    database = catalogue(20)

    class Busy(Index):
        def upsert(self, name: str, ids: list[int], vectors: np.ndarray) -> None:
            super().upsert(name, ids, vectors)
            if self.calls == 1:
                with database.transaction() as db:
                    add_change(db, 7)

    index = Busy()
    IndexSync(database, index).apply()
    assert index.calls == 2, "a change that arrived while others were applied was thrown away"


def check_other_processes_notice() -> None:
    database = catalogue(3)
    syncing = IndexSync(database, Index())
    syncing.apply()
    row = (
        database.connections.get()
        .execute("SELECT value FROM meta WHERE key='generation'")
        .fetchone()
    )
    assert row, "the catalogue has no generation after a change"
    assert row[0] == syncing._generation, "this process did not keep the generation it wrote"
