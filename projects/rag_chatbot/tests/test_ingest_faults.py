"""Ingests that are killed, run out of disk, or run concurrently: nothing is lost or added twice.

Each test starts a driver process (`run_driver`), which imports everything once and forks its
children, so that twenty kills take seconds.
"""

from __future__ import annotations

import importlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pytest

from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest
from rag_chatbot.store.catalogue import OPERATOR
from rag_chatbot.store.records import joined
from rag_chatbot.store.store import Store
from seedbed.models.embeddings.hash import HashEmbeddings

KILLS = 20
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def make_files(folder: Path, files: int) -> Path:
    folder.mkdir()
    for n in range(files):
        text = "".join(
            f"## Part {k}\n\nFile {n} contains {n * k} and some equal words.\n\n" for k in range(24)
        )
        (folder / f"{n}.md").write_text(text + "## Same\n\nThis is in every file.\n")
    return folder


def open_store(data: Path) -> Store:
    return Store(Config(data_dir=data), HashEmbeddings())


def run_ingest(data: Path, folder: Path) -> None:
    ingest(open_store(data), [folder])


def check_store(store: Store) -> None:
    """Catalogue, full text, vectors and index agree, and every document is complete."""
    store.mend_index()
    db = store.database.connection
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for name in store.collections.names(OPERATOR):
        owner = store.collections.get(name)
        chunks = []
        for document in store.documents(name):
            rows = db.execute("SELECT id FROM chunks WHERE document_id = ?", (document.id,))
            document_chunks = store.chunks([i for (i,) in rows])
            assert len(document_chunks) == document.chunks > 0
            text = store.document(name, document.source).text
            assert all(text[c.start : c.end] == c.text for c in document_chunks)
            chunks += [c.id for c in document_chunks]
        rows = db.execute(f"SELECT rowid, title, heading, body FROM {owner.fts}").fetchall()
        stored = store._index.vectors(owner.index_name, chunks) if chunks else {}
        assert {row[0] for row in rows} == set(chunks) == store._index.ids(owner.index_name)
        expected = HashEmbeddings().embed([joined(*parts) for _, *parts in rows])
        for (chunk_id, *_), vector in zip(rows, expected, strict=True):
            assert np.allclose(stored[chunk_id], vector, atol=1e-5)


def verify_next_run(data: Path, folder: Path) -> None:
    store = open_store(data)
    check_store(store)
    before = len(store.documents("default")) if store.collections.names(OPERATOR) else 0
    summary = ingest(store, [folder])
    files = len(list(folder.iterdir()))
    assert summary.failed == [] and summary.added + summary.unchanged == files
    assert summary.unchanged == before
    check_store(store)
    store.close()


# In the driver process


def fork(function: object, *args: object) -> int:
    """Run `function` in a child process; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        function(*args)  # type: ignore[operator]
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def kill_at_random(base: Path, folder: Path) -> None:
    """A clean run, then `KILLS` killed ones, each verified."""
    for module in ("chromadb", "chromadb.config", "filelock"):  # so that children start quickly
        importlib.import_module(module)
    start = time.monotonic()
    assert os.waitpid(fork(run_ingest, base / "clean", folder), 0)[1] == 0
    duration = time.monotonic() - start
    rng = random.Random(0)
    for n in range(KILLS):
        data = base / f"data{n}"
        while not killed_after(duration * (n + rng.random()) / KILLS, data, folder):
            duration *= 0.9  # the machine is less busy now, so the ingest finished earlier
            shutil.rmtree(data)
        status = os.waitpid(fork(verify_next_run, data, folder), 0)[1]
        assert status == 0, f"kill {n} of {KILLS}: the next start did not repair it"


def killed_after(seconds: float, data: Path, folder: Path) -> bool:
    """Run an ingest in a child process and kill it; False if it ended earlier."""
    pid = fork(run_ingest, data, folder)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def ingest_both(data: Path, one: Path, two: Path) -> None:
    first, second = fork(run_ingest, data, one), fork(run_ingest, data, two)
    assert os.waitpid(first, 0)[1] == os.waitpid(second, 0)[1] == 0


def ingest_on_full_disk(data: Path, folder: Path) -> None:
    """An ingest whose files cannot grow above a size, as on a full disk."""
    store = open_store(data)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(float(data.name) * 2**20),) * 2)
    try:
        ingest(store, [folder])
    except Exception as error:
        print(type(error).__name__, error)


def run_driver(function: str, *args: Path) -> str:
    """What a function of this file prints in a process of its own."""
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path;"
        f"import test_ingest_faults as t; t.{function}(*map(Path, sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, *map(str, args)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=270)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


# The tests


def test_ingest_recovers_from_kill_at_any_instant(tmp_path: Path) -> None:
    run_driver("kill_at_random", tmp_path, make_files(tmp_path / "files", 24))


@pytest.mark.parametrize("megabytes", ["0.3", "1.0"])
def test_ingest_reports_full_disk_and_next_run_completes(tmp_path: Path, megabytes: str) -> None:
    folder = make_files(tmp_path / "files", 20)
    message = run_driver("ingest_on_full_disk", tmp_path / megabytes, folder)
    assert message.startswith("Unavailable ") and "Free some space" in message
    verify_next_run(tmp_path / megabytes, folder)


def test_ingest_beside_another_is_complete_and_seen_by_a_reader(tmp_path: Path) -> None:
    reader = open_store(tmp_path / "data")
    ingest(reader, [make_files(tmp_path / "first", 2)])
    query = np.asarray(reader.embeddings.embed_query("a green elephant"), dtype=np.float32)
    default = reader.collections.get("default")
    assert len(reader.vector_search(default, query, 500)) == 50
    one, two = make_files(tmp_path / "one", 10), make_files(tmp_path / "two", 10)
    (two / "animal.txt").write_text("A green elephant.")  # HNSW may miss what is like no other
    run_driver("ingest_both", tmp_path / "data", one, two)
    hits = reader.chunks([hit for hit, _ in reader.vector_search(default, query, 500)])
    assert {hit.source.split("/")[0] for hit in hits} == {"first", "one", "two"}
    check_store(reader)
    assert len(reader.documents("default")) == 23
    reader.close()
