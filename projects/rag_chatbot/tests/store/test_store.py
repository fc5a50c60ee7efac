"""The catalogue, both searches, access, and the index that follows."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rag_chatbot.config import Config
from rag_chatbot.read import parse
from rag_chatbot.read.chunk import chunk, counter
from rag_chatbot.store.catalogue import OPERATOR, Collection
from rag_chatbot.store.store import Store, match_expression
from seedbed.errors import BadInput, Busy, Forbidden, NotFound, Unavailable
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.server.callers import LOCAL, Caller
from seedbed.testing.launch import free_port, run_server

OPEN = Callable[..., Store]


def put(store: Store, source: str, text: str, collection: str = "default") -> None:
    store.collections.create(collection)
    document = parse(Path(source), text.encode())
    pieces = chunk(document, 64, counter(store.embeddings))
    digest = hashlib.sha256(text.encode()).hexdigest()
    store.add_document(collection, source, digest, document, pieces)


def ask(store: Store, text: str) -> np.ndarray:
    return np.asarray(store.embeddings.embed_query(text), dtype=np.float32)


def default(store: Store) -> Collection:
    return store.collections.get("default")


def dense(store: Store, text: str, name: str = "default") -> list[tuple[int, float]]:
    store.update_index()
    return store.vector_search(store.collections.get(name), ask(store, text), 9)


def index_ids(store: Store) -> set[int]:
    store.update_index()
    return store._index.ids(default(store).index_name)


PUMP = "# Pump\n\nThe pump starts when the red lever is down.\n\n## Care\n\nOil it in May.\n"
BOAT = "# Boat\n\nThe boat leaves the harbour at noon.\n"


def test_store_delete_and_replace_remove_all_rows(store: Store) -> None:
    put(store, "a.md", PUMP)
    put(store, "a.md", BOAT)
    assert index_ids(store) == {3}
    assert store.keyword_search(default(store), "lever", 5) == []
    store.delete_document("default", "a.md")
    assert index_ids(store) == set()
    db = store.database.connection
    for table in ("documents", "chunks", default(store).fts):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    with pytest.raises(NotFound):
        store.delete_document("default", "a.md")


@pytest.mark.parametrize(
    "query",
    [
        *("", '"', 'a" OR "b', "NOT (", "lever*", "title:lever", "NEAR(a b)", "\x00lever\x00"),
        *("\ud800 lever", "the and of", "漢字", "x" * 1_000_000, "lever " * 200_000, "{lever} : -"),
    ],
)
def test_full_text_accepts_any_query(store: Store, query: str) -> None:
    put(store, "pump.md", PUMP)
    assert len(match_expression(query)) < 20_000  # so that its search takes a bounded time
    found = store.keyword_search(default(store), query, 5)
    assert bool(found) == ("lever" in query or query == "the and of")


def test_match_expression_drops_common_words_over_the_row_limit() -> None:
    rows = {"pump": 10, "valve": 3000, "water": 9000}
    assert match_expression("the water pump valve", rows.__getitem__) == '"pump" OR "valve"'
    assert match_expression("water", rows.__getitem__) == '"water"'


ANN, BOB, EVE = Caller("ann"), Caller("bob", frozenset({"hr"})), Caller("eve")


def test_collections_hide_what_a_caller_may_not_read(store: Store) -> None:
    collections = store.collections
    collections.create("plans", readers=["ann", "bob"], writers=["ann"])
    collections.create("open")
    assert (collections.names(ANN), collections.names(EVE)) == (["open", "plans"], ["open"])
    assert collections.require("plans", ANN, "write") == collections.get("plans")
    with pytest.raises(Forbidden):
        collections.require("plans", BOB, "write")
    messages = []
    for name in ("plans", "plums"):
        with pytest.raises(NotFound) as hidden:
            collections.require(name, EVE, "read")
        messages.append(str(hidden.value).replace(name, "NAME"))
    assert messages[0] == messages[1]


@pytest.mark.parametrize(
    ("writers", "allowed"),
    [("", {OPERATOR, LOCAL}), ("eve, ann", {OPERATOR, LOCAL, ANN}), ("*", {ANN, BOB})],
)
def test_operators_collections_are_read_only_for_keys_unless_granted(
    open_store: OPEN, writers: str, allowed: set[Caller]
) -> None:
    collections = open_store(writers=writers).collections
    collections.create("default")
    for caller in allowed:
        assert collections.require("default", caller, "write")
    for caller in {ANN, BOB} - allowed:
        with pytest.raises(Forbidden, match="RAG_WRITERS"):
            collections.require("default", caller, "write")


def test_collection_of_a_group_is_readable_for_its_members_only(store: Store) -> None:
    store.collections.create("wiki/HR", readers=["group:hr"], writers=["group:hr-admins"])
    assert store.collections.names(BOB) == ["wiki/HR"]
    for stranger in (ANN, Caller("hr"), Caller("eve", frozenset({"hr-admins"}))):
        assert store.collections.names(stranger) == []
    with pytest.raises(Forbidden):
        store.collections.require("wiki/HR", BOB, "write")


@pytest.mark.parametrize("name", ["日本 語/..", "a'b\"; DROP TABLE x"])
def test_collection_name_may_be_any_printable_text(store: Store, name: str) -> None:
    put(store, "a.md", PUMP, name)
    put(store, "a.md", BOAT)
    assert len(dense(store, "red lever", name)) == 2
    assert store.keyword_search(store.collections.get(name), "boat", 9) == []
    store.delete_collection(name)
    assert store.collections.names(OPERATOR) == ["default"]
    assert len(store._index._open().list_collections()) == 1
    assert dense(store, "boat")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x00", "x" * 201])
def test_collection_name_empty_long_or_unprintable_is_refused(store: Store, name: str) -> None:
    with pytest.raises(BadInput):
        store.collections.create(name)


def test_vectors_are_computed_again_for_other_embeddings(open_store: OPEN) -> None:
    first = open_store()
    put(first, "a.md", PUMP)
    assert len(dense(first, "lever")) == 2
    other = open_store(embeddings=HashEmbeddings(128))
    found = dense(other, "red lever")
    assert len(found) == 2 and found[0][1] > 0.2
    assert len(dense(first, "lever")) == 2
    other.delete_collection("default")
    assert not first._index._open().list_collections()


@pytest.mark.parametrize("damage", ["files", "ids"])
def test_index_that_differs_from_the_catalogue_is_mended_at_start(
    open_store: OPEN, config: Config, damage: str
) -> None:
    first = open_store()
    put(first, "a.md", PUMP)
    put(first, "b.md", BOAT)
    assert index_ids(first) == {1, 2, 3}
    if damage == "ids":
        first._index.delete(default(first).index_name, [1])
        first._index.upsert(default(first).index_name, {77: np.ones(384, dtype=np.float32)})
    first.close()
    for path in (config.data_dir / "chroma").rglob("*") if damage == "files" else ():
        if path.is_file():
            path.write_bytes(b"not what it was" * 500)
    again = open_store()
    assert len(dense(again, "lever")) == 3
    assert index_ids(again) == {1, 2, 3}


def test_search_includes_a_chunk_whose_vector_is_not_in_the_index_yet(open_store: OPEN) -> None:
    writer, reader = open_store(), open_store()
    put(writer, "a.md", PUMP)
    assert len(dense(reader, "boat")) == 2
    put(writer, "b.md", BOAT)
    [(chunk_id, _)] = reader.keyword_search(default(reader), "harbour", 9)
    [chunk], vectors = reader.fetch(default(reader), [chunk_id])
    assert chunk.source == "b.md" and vectors[0] @ ask(reader, "boat leaves the harbour") > 0.4


@pytest.mark.slow
def test_store_survives_a_restart_of_the_chroma_server(open_store: OPEN, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    chroma = Path(sys.executable).with_name("chroma")
    argv = [str(chroma), "run", "--path", str(tmp_path / "server"), "--port", str(port)]
    store = open_store(chroma_url=url)
    with run_server(argv, port, "/api/v2/heartbeat"):
        put(store, "a.md", PUMP)
        assert len(dense(store, "lever")) == 2
    with pytest.raises(Unavailable, match=f"{url}.*SEEDBED_CHROMA_URL"):
        dense(store, "lever")
    put(store, "b.md", BOAT)
    assert store.keyword_search(default(store), "harbour", 1)
    with run_server(argv, port, "/api/v2/heartbeat"):
        assert len(dense(store, "boat")) == 3
    shutil.rmtree(tmp_path / "server")  # the server comes back with an empty folder
    with run_server(argv, port, "/api/v2/heartbeat"):
        assert len(dense(store, "boat")) == 3


def test_readers_do_not_wait_for_a_writer_and_writers_take_turns(open_store: OPEN) -> None:
    store, other = open_store(), open_store()
    put(store, "a.md", PUMP)
    dense(store, "lever")

    def read_and_write() -> None:
        assert store.keyword_search(default(store), "lever", 1) and dense(store, "x")
        with other.database.writing(0.1):
            pass

    with store.database.writing(), store.database.transaction() as db, ThreadPoolExecutor() as pool:
        db.execute("UPDATE documents SET title = 'x'")
        with pytest.raises(Busy, match="Another upload or ingest"):
            pool.submit(read_and_write).result()  # a reader that waits fails after SQLite's 30 s


def test_store_unusable_or_damaged_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "rag.sqlite").write_bytes(b"no database " * 1000)
    with pytest.raises(Unavailable, match="damaged"):
        Store(Config(data_dir=tmp_path), HashEmbeddings())
    with pytest.raises(Unavailable, match="RAG_DATA_DIR"):
        Store(Config(data_dir=tmp_path / "rag.sqlite" / "data"), HashEmbeddings())
