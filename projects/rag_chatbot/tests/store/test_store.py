"""The catalogue, both searches, access, and the index that follows."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rag_chatbot.config import Config
from rag_chatbot.read import parse
from rag_chatbot.read.chunk import chunk, counter
from rag_chatbot.store.callers import LOCAL, OPERATOR
from rag_chatbot.store.database import Database
from rag_chatbot.store.full_text import match_expression
from rag_chatbot.store.records import joined
from rag_chatbot.store.store import Chunk, Store
from seedbed.errors import BadInput, Busy, ConfigError, Forbidden, NotFound, Unavailable
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.testing.launch import closed_port, free_port, run_server

OPEN = Callable[..., Store]


def put(store: Store, source: str, text: str, collection: str = "default", **kwargs: object) -> int:
    if not store.collections(OPERATOR).count(collection):
        store.create_collection(collection)
    document = parse(Path(source), text.encode())
    pieces = chunk(document, 64, counter(store.embeddings))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return store.add_document(collection, source, digest, document, pieces, **kwargs)  # type: ignore[arg-type]


def ask(store: Store, text: str) -> np.ndarray:
    return np.asarray(store.embeddings.embed_query(text), dtype=np.float32)


def chunks_of(store: Store) -> list[Chunk]:
    """All chunks in the catalogue, in order."""
    rows = store.database.connections.get().execute("SELECT id FROM chunks ORDER BY id")
    return store.chunks([i for (i,) in rows])


def index_ids(store: Store, collection: str = "default") -> set[int]:
    name = store.collection(collection).index_name
    return set(store._index.vectors(name, list(range(1, 100))))


PUMP = "# Pump\n\nThe pump starts when the red lever is down.\n\n## Care\n\nOil it in May.\n"
BOAT = "# Boat\n\nThe boat leaves the harbour at noon.\n"


def test_store_returns_documents_and_chunks_unchanged(store: Store) -> None:
    put(store, "pump.md", PUMP)
    document = store.document("default", "pump.md")
    assert (document.text, document.title, document.type, document.chunks) == (
        PUMP,
        "Pump",
        "markdown",
        2,
    )
    first, second = chunks_of(store)
    assert (
        PUMP[first.start : first.end]
        == first.text
        == "Pump\n\nThe pump starts when the red lever is down."
    )
    assert (second.heading, second.title, second.source, second.ordinal) == (
        "Care",
        "Pump",
        "pump.md",
        1,
    )
    assert store.chunks([second.id, 999, first.id]) == [second, first]


def test_store_dense_and_text_find_the_chunk_with_true_scores(store: Store) -> None:
    put(store, "pump.md", PUMP)
    put(store, "boat.md", BOAT)
    query = ask(store, "when does the boat leave the harbour")
    best, cosine = store.dense("default", query, 2)[0]
    assert store.chunks([best])[0].source == "boat.md"
    text = joined("Boat", "", "The boat leaves the harbour at noon.")
    expected = float(query @ store.embeddings.embed([text])[0])
    assert cosine == pytest.approx(expected, abs=1e-5)
    assert store.fetch("default", [best])[1][0] @ query == pytest.approx(expected, abs=1e-5)
    scores = store.text("default", "Leaving boats?", 5)
    assert [store.chunks([i])[0].source for i, _ in scores] == ["boat.md"]
    assert scores[0][1] > 0


def test_store_delete_and_replace_remove_all_rows(store: Store) -> None:
    put(store, "a.md", PUMP)
    put(store, "a.md", BOAT)
    assert [c.id for c in chunks_of(store)] == sorted(index_ids(store))
    assert store.text("default", "lever", 5) == []
    store.delete_document("default", "a.md")
    assert index_ids(store) == set()
    db = store.database.connections.get()
    for table in ("documents", "chunks", "outbox", store.collection("default").fts):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    with pytest.raises(NotFound):
        store.delete_document("default", "a.md")


def test_store_embeds_equal_text_once(open_store: OPEN) -> None:
    class Counting(HashEmbeddings):
        texts = 0

        def embed(self, texts):  # type: ignore[no-untyped-def]
            self.texts += len(texts)
            return super().embed(texts)

    embeddings = Counting()
    store = open_store(embeddings=embeddings)
    put(store, "a.md", PUMP)
    put(store, "b.md", PUMP)
    put(store, "c.md", PUMP, "other")
    assert embeddings.texts == 4, "two chunks in each of the two collections"
    assert len(index_ids(store)) == 4
    store.delete_document("default", "a.md")
    assert store.dense("other", ask(store, "lever"), 1)


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        '"',
        'a" OR "b',
        "NOT (",
        "lever*",
        "title:lever",
        "NEAR(a b)",
        "\x00lever\x00",
        "^lever",
        "\ud800 lever",
        "the and of",
        "漢字",
        "x" * 1_000_000,
        "lever " * 200_000,
        "😀",
        "{lever} : -",
    ],
)
def test_full_text_accepts_any_query(store: Store, query: str) -> None:
    put(store, "pump.md", PUMP)
    assert len(match_expression(query)) < 20_000  # so that its search takes a bounded time
    found = store.text("default", query, 5)
    assert bool(found) == ("lever" in query or query == "the and of")


def test_match_expression_drops_stop_words_unless_alone() -> None:
    assert match_expression("What is the pump?") == '"pump"'
    assert match_expression("what is the") == '"what" OR "is" OR "the"'


def test_match_expression_drops_common_words_over_the_row_limit():
    rows = {"pump": 10, "valve": 3000, "water": 9000}
    assert match_expression("the water pump valve", rows.__getitem__) == '"pump" OR "valve"'
    assert match_expression("water", rows.__getitem__) == '"water"'


def test_collections_hide_what_a_caller_may_not_read(store: Store) -> None:
    store.create_collection("plans", readers=["ann", "bob"], writers=["ann"])
    store.create_collection("open")
    assert store.collections("ann") == ["open", "plans"]
    assert store.collections("eve") == ["open"]
    assert store.require("plans", "ann", "write").name == "plans"
    assert store.require("plans", "bob", "read").name == "plans"
    with pytest.raises(NotFound) as hidden:
        store.require("plans", "eve", "read")
    with pytest.raises(NotFound) as absent:
        store.require("plums", "eve", "read")
    assert str(hidden.value).replace("plans", "plums") == str(absent.value)
    with pytest.raises(Forbidden):
        store.require("plans", "bob", "write")


@pytest.mark.parametrize("name", ["日本 語/..", "Ω" * 60, "a'b\"; DROP TABLE x"])
def test_collection_name_may_be_any_printable_text(store: Store, name: str) -> None:
    put(store, "a.md", PUMP, name)
    put(store, "a.md", BOAT)
    assert store.dense(name, ask(store, "red lever"), 9)[0][1] > 0.3
    assert len(store.dense(name, ask(store, "red lever"), 9)) == 2
    assert store.text(name, "boat", 9) == []
    store.delete_collection(name)
    assert store.collections(OPERATOR) == ["default"]
    assert store.dense("default", ask(store, "boat"), 9)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x00", "x" * 201])
def test_collection_name_empty_long_or_unprintable_is_refused(store: Store, name: str) -> None:
    with pytest.raises(BadInput):
        store.create_collection(name)


def test_store_unknown_collection_is_not_found(store: Store) -> None:
    for call in (
        lambda: store.documents("no"),
        lambda: store.text("no", "x", 1),
        lambda: store.dense("no", np.zeros(3), 1),
        lambda: store.document("no", "x"),
    ):
        with pytest.raises(NotFound, match="'no'"):
            call()


def test_store_with_other_embeddings_requires_reindex(open_store: OPEN) -> None:
    put(open_store(), "a.md", PUMP)
    other = open_store(embeddings=HashEmbeddings(128))
    with pytest.raises(ConfigError, match=r"hash-384.*reindex"):
        other.dense("default", np.zeros(128), 1)
    with pytest.raises(ConfigError):
        put(other, "b.md", BOAT)
    assert other.text("default", "lever", 1)
    assert other.reindex("default") == 2
    found = other.dense("default", ask(other, "red lever"), 9)
    assert len(found) == 2 and found[0][1] > 0.2
    assert other.collection("default").embedder == "hash-128"


def test_index_deleted_is_rebuilt(open_store: OPEN, config: Config) -> None:
    first = open_store()
    put(first, "a.md", PUMP)
    first.close()
    shutil.rmtree(config.data_dir / "chroma")
    assert len(open_store().dense("default", ask(first, "lever"), 9)) == 2


def test_index_damaged_is_rebuilt(open_store: OPEN, config: Config) -> None:
    first = open_store()
    put(first, "a.md", PUMP)
    first.close()
    for path in (config.data_dir / "chroma").rglob("*"):
        if path.is_file():
            path.write_bytes(b"not what it was" * 500)
    assert len(open_store().dense("default", ask(first, "lever"), 9)) == 2


def test_index_without_some_vectors_is_rebuilt(open_store: OPEN) -> None:
    first = open_store()
    put(first, "a.md", PUMP)
    first._index.delete(first.collection("default").index_name, [1])
    first.close()
    again = open_store()
    again.check_index()
    assert index_ids(again) == {c.id for c in chunks_of(again)}


def test_reindex_replaces_wrong_vectors(open_store: OPEN) -> None:
    first = open_store()
    put(first, "a.md", PUMP)
    wrong = np.eye(2, 384, dtype=np.float32)
    first._index.upsert(first.collection("default").index_name, [1, 2], wrong)
    first.close()
    second = open_store()
    assert second.dense("default", ask(second, "red lever"), 1)[0][1] < 0.2
    assert second.reindex("default") == 2
    assert second.dense("default", ask(second, "red lever"), 1)[0][1] > 0.3
    assert index_ids(second) == {1, 2}


def test_reindex_that_was_interrupted_changes_nothing(open_store: OPEN) -> None:
    class Interrupted(HashEmbeddings):
        def embed(self, texts):  # type: ignore[no-untyped-def]
            raise KeyboardInterrupt(f"{len(texts)} texts")

    first = open_store()
    put(first, "a.md", PUMP)
    with pytest.raises(KeyboardInterrupt):
        open_store(embeddings=Interrupted()).reindex("default")
    again = open_store()
    assert len(again.dense("default", ask(again, "lever"), 9)) == 2
    names = [c.name for c in again._index._open().list_collections()]
    assert names == [again.collection("default").index_name]


def test_changes_of_a_collection_with_other_embeddings_are_made_up_for(open_store: OPEN) -> None:
    first = open_store()
    put(first, "a.md", PUMP)
    put(first, "b.md", BOAT, apply=False)  # killed here
    first.close()
    other = open_store(embeddings=HashEmbeddings(128))
    put(other, "c.md", BOAT, "other")
    assert len(other.dense("other", ask(other, "boat"), 9)) == 1
    other.close()
    again = open_store()
    assert len(again.dense("default", ask(again, "boat"), 9)) == 3


def test_search_includes_a_chunk_whose_vector_is_not_in_the_index_yet(open_store: OPEN) -> None:
    writer, reader = open_store(), open_store()
    put(writer, "a.md", PUMP)
    assert len(reader.dense("default", ask(reader, "boat"), 9)) == 2
    put(writer, "b.md", BOAT, apply=False)
    [(chunk_id, _)] = reader.text("default", "harbour", 9)
    [chunk], vectors = reader.fetch("default", [chunk_id])
    assert chunk.source == "b.md" and vectors[0] @ ask(reader, "boat leaves the harbour") > 0.4


def test_folder_of_an_older_version_keeps_its_vectors(open_store: OPEN) -> None:
    class NeverUsed(HashEmbeddings):
        def embed(self, texts):  # type: ignore[no-untyped-def]
            raise AssertionError(f"embedded again: {texts}")

    store = open_store()
    put(store, "a.md", PUMP)
    db = store.database.connections.get()
    db.execute("CREATE TABLE vectors (hash BLOB, embedder TEXT, vector BLOB)")
    db.execute("PRAGMA user_version = 1")
    store.close()
    again = open_store(embeddings=NeverUsed())
    found = again.dense("default", ask(store, "red lever"), 9)
    assert again.fetch("default", [i for i, _ in found])[1].shape == (2, 384)
    tables = again.database.connections.get().execute("SELECT name FROM sqlite_schema")
    assert ("vectors",) not in tables.fetchall()


def test_index_that_is_a_plain_file_is_rebuilt(open_store: OPEN, config: Config) -> None:
    first = open_store()
    put(first, "a.md", PUMP)
    first.close()
    shutil.rmtree(config.data_dir / "chroma")
    (config.data_dir / "chroma").write_text("no folder")
    assert len(open_store().dense("default", ask(first, "lever"), 9)) == 2


def test_changes_with_a_damaged_index_are_done_and_rebuild_it(
    open_store: OPEN, config: Config
) -> None:
    first = open_store()
    put(first, "a.md", PUMP)
    first.close()
    (config.data_dir / "chroma/chroma.sqlite3").write_bytes(b"no database" * 300)
    second = open_store()
    put(second, "b.md", BOAT)
    second.delete_document("default", "a.md")
    assert [d.source for d in second.documents("default")] == ["b.md"]
    assert len(second.dense("default", ask(second, "harbour"), 9)) == 1
    assert index_ids(second) == {3}


def test_change_is_done_where_the_chroma_server_is_down(open_store: OPEN) -> None:
    with closed_port() as port:
        store = open_store(chroma_url=f"http://127.0.0.1:{port}")
        put(store, "a.md", PUMP)
        assert "is not available" in store.update_index()
        assert [d.source for d in store.documents("default")] == ["a.md"]
        store.delete_document("default", "a.md")
        assert store.documents("default") == []


def test_operators_collections_are_read_only_for_keys_unless_granted(open_store: OPEN) -> None:
    store = open_store()
    store.create_collection("default")
    for caller in (OPERATOR, LOCAL):
        assert store.require("default", caller, "write")
    with pytest.raises(Forbidden, match="RAG_WRITERS"):
        store.require("default", "ann", "write")
    assert store.require("default", "ann", "read")
    granted = open_store(writers="eve, ann")
    assert granted.require("default", "ann", "write")
    with pytest.raises(Forbidden):
        granted.require("default", "bob", "write")
    assert open_store(writers="*").require("default", "bob", "write")


def test_operators_collections_of_an_older_version_become_read_only(open_store: OPEN) -> None:
    store = open_store()
    for name in ("default", "ann/notes"):
        store.create_collection(name, writers=["*"])
    store.database.connections.get().execute("PRAGMA user_version = 0")
    again = open_store()
    with pytest.raises(Forbidden):
        again.require("default", "bob", "write")
    assert again.require("ann/notes", "bob", "write")


def test_store_readers_do_not_wait_for_a_writer(open_store: OPEN) -> None:
    store = open_store()
    put(store, "a.md", PUMP)
    store.dense("default", ask(store, "lever"), 1)
    with store.database.writing(), store.database.transaction() as db:
        db.execute("UPDATE documents SET title = 'x'")
        answers: list[object] = []

        def read() -> None:
            answers.append(
                store.text("default", "lever", 1) and store.dense("default", ask(store, "x"), 1)
            )

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()  # a reader that waits for the writer fails after SQLite's 30 s
        assert answers and answers[0]


def test_store_writers_take_turns_and_report_waiting(open_store: OPEN) -> None:
    one, two = open_store(), open_store()
    said: list[str] = []
    with one.database.writing():
        errors: list[BaseException] = []

        def write() -> None:
            try:
                with two.database.writing(0.1, said.append):
                    pass
            except Busy as error:
                errors.append(error)

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert "Another upload or ingest" in said[0] and "Another upload or ingest" in str(errors[0])
    assert str(two.database.path.parent) not in str(errors[0])
    with two.database.writing(30):
        assert said == said[:1]


def test_store_full_disk_loses_nothing(store: Store) -> None:
    put(store, "a.md", PUMP)
    db = store.database.connections.get()
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(Unavailable, match="full"):
        put(store, "b.md", "# Big\n\n" + "Many different words stand here.\n\n" * 3000)
    db.execute("PRAGMA max_page_count = 1000000")
    assert [d.source for d in store.documents("default")] == ["a.md"]
    assert len(store.dense("default", ask(store, "lever"), 9)) == 2
    put(store, "b.md", BOAT)
    assert len(store.documents("default")) == 2


def test_store_unusable_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match="RAG_DATA_DIR"):
        Store(Config(data_dir=tmp_path / "file" / "data"), HashEmbeddings())


def test_store_damaged_catalogue_is_reported(tmp_path: Path) -> None:
    (tmp_path / "rag.sqlite").write_bytes(b"no database " * 1000)
    with pytest.raises(Unavailable, match="damaged"):
        Store(Config(data_dir=tmp_path), HashEmbeddings())


@pytest.mark.slow
def test_store_survives_a_restart_of_the_chroma_server(open_store: OPEN, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    chroma = Path(sys.executable).with_name("chroma")
    argv = [str(chroma), "run", "--path", str(tmp_path / "server"), "--port", str(port)]
    store = open_store(chroma_url=url)
    with run_server(argv, port, "/api/v2/heartbeat"):
        put(store, "a.md", PUMP)
        assert len(store.dense("default", ask(store, "lever"), 9)) == 2
    with pytest.raises(Unavailable, match=url):
        store.dense("default", ask(store, "lever"), 9)
    put(store, "b.md", BOAT)
    store.delete_document("default", "a.md")
    put(store, "a.md", PUMP)
    assert [d.source for d in store.documents("default")] == ["a.md", "b.md"]
    assert store.text("default", "harbour", 1)
    with run_server(argv, port, "/api/v2/heartbeat"):
        assert len(store.dense("default", ask(store, "boat"), 9)) == 3
        assert index_ids(store) == {3, 4, 5}
    shutil.rmtree(tmp_path / "server")  # the server comes back with an empty folder
    with run_server(argv, port, "/api/v2/heartbeat"):
        assert len(store.dense("default", ask(store, "boat"), 9)) == 3


def test_store_invalid_chroma_address_is_reported(open_store: OPEN) -> None:
    store = open_store(chroma_url="ftp://nowhere")
    with pytest.raises(ConfigError, match="SEEDBED_CHROMA_URL"):
        put(store, "a.md", PUMP)


def test_database_closes_connections_of_ended_threads(tmp_path):
    database = Database(tmp_path)
    connections = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: connections.append(database.connections.get()))
        thread.start()
        thread.join()
    for connection in connections[:-1]:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
    assert connections[-1].execute("SELECT 1").fetchone() == (1,)
    assert database.connections.get().execute("SELECT 1").fetchone() == (1,)
