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
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest
from rag_chatbot.store.catalogue import OPERATOR
from rag_chatbot.store.store import Store
from seedbed.models.embeddings.hash import HashEmbeddings

KILLS = 20
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def make_files(folder: Path, files: int = 24, parts: int = 24) -> Path:
    folder.mkdir()
    for n in range(files):
        text = "".join(
            f"## Part {k}\n\nFile {n} contains {n * k} and some equal words.\n\n"
            for k in range(parts)
        )
        (folder / f"{n}.md").write_text(text + "## Same\n\nThis is in every file.\n")
    return folder


def open_store(data: Path) -> Store:
    return Store(Config(data_dir=data), HashEmbeddings())


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
        assert {i for (i,) in db.execute(f"SELECT rowid FROM {owner.fts}")} == set(chunks)
        assert store._index.ids(owner.index_name) == set(chunks)
        stored = store._index.vectors(owner.index_name, chunks)
        for at in range(0, len(chunks), 1000):  # each vector is that of its own text
            batch = store.chunks(chunks[at : at + 1000])
            expected = store._embed_chunks(owner, [chunk.id for chunk in batch])
            assert all(np.allclose(stored[i], vector, atol=1e-5) for i, vector in expected.items())


def fork(function: object, *args: object) -> int:
    """Run `function` in a child process; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        function(*args)  # type: ignore[operator]
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def run_ingest(data: Path, folder: Path) -> None:
    ingest(open_store(data), [folder])


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


def kill_at_random(base: Path) -> None:
    """The body of the driver process: clean run, then `KILLS` killed ones, each verified."""
    for module in ("chromadb", "chromadb.config", "filelock"):  # so that children start quickly
        importlib.import_module(module)

    folder = make_files(base / "files")
    start = time.monotonic()
    assert os.waitpid(fork(run_ingest, base / "clean", folder), 0)[1] == 0
    duration = time.monotonic() - start
    rng = random.Random(0)
    for n in range(KILLS):
        data = base / f"data{n}"
        while not killed_after(duration * (n + rng.random()) / KILLS, run_ingest, data, folder):
            duration *= 0.9  # the machine is less busy now, so the ingest finished earlier
            shutil.rmtree(data)
        status = os.waitpid(fork(verify_next_run, data, folder), 0)[1]
        assert status == 0, f"kill {n} of {KILLS}: the next start did not repair it"


def killed_after(seconds: float, function: object, *args: object) -> bool:
    """Run `function` in a child process and kill it; False if it ended earlier."""
    pid = fork(function, *args)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def run_driver(code: str, *args: Path) -> subprocess.CompletedProcess[str]:
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path;"
        f"from test_ingest_faults import *; args = [Path(a) for a in sys.argv[1:]]; {code}"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=270)
    finally:
        with suppress(ProcessLookupError):  # including its forked children
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_ingest_recovers_from_kill_at_any_instant(tmp_path: Path) -> None:
    result = run_driver("kill_at_random(args[0])", tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]


def run_ingest_with_size_limit(data: Path, folder: Path, megabytes: float) -> None:
    """An ingest whose files cannot grow above a size, as on a full disk."""
    store = open_store(data)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(megabytes * 2**20),) * 2)
    try:
        ingest(store, [folder])
    except Exception as error:
        print(type(error).__name__, error)


def test_ingest_reports_full_disk_and_next_run_completes(tmp_path: Path) -> None:
    folder = make_files(tmp_path / "files", 20)
    for megabytes in (0.3, 1.0):
        data = tmp_path / f"data{megabytes}"
        result = run_driver(
            f"run_ingest_with_size_limit(args[0], args[1], {megabytes})", data, folder
        )
        assert result.returncode == 0, result.stderr[-2000:]
        assert result.stdout.startswith("Unavailable ") and "Free some space" in result.stdout
        verify_next_run(data, folder)


def test_ingest_completes_beside_concurrent_ingest(tmp_path: Path) -> None:
    one, two = make_files(tmp_path / "one", 10), make_files(tmp_path / "two", 10)
    data = tmp_path / "data"
    code = (
        "a = fork(run_ingest, args[0], args[1]); b = fork(run_ingest, args[0], args[2]);"
        "sys.exit(os.waitpid(a, 0)[1] > 0 or os.waitpid(b, 0)[1] > 0)"
    )
    result = run_driver(code, data, one, two)
    assert result.returncode == 0, result.stderr[-3000:]
    store = open_store(data)
    check_store(store)
    assert len(store.documents("default")) == 20
    store.close()


def test_store_sees_documents_of_another_process(tmp_path: Path) -> None:
    data = tmp_path / "data"
    ingest(reader := open_store(data), [make_files(tmp_path / "one", 2)])
    query = np.asarray(reader.embeddings.embed_query("a green elephant"), dtype=np.float32)
    default = reader.collections.get("default")
    assert reader.vector_search(default, query, 1)[0][1] < 0.6
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "animal.txt").write_text("A green elephant.")
    result = run_driver("run_ingest(args[0], args[1])", data, tmp_path / "two")
    assert result.returncode == 0, result.stderr[-3000:]
    (best,) = reader.chunks([reader.vector_search(default, query, 1)[0][0]])
    assert best.source == "two/animal.txt"
    reader.close()
