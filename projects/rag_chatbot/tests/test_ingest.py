"""Ingesting files: which are read, which are left out and why, and what a second run does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_chatbot.ingest import Summary, ingest, ingest_uploads
from rag_chatbot.store.store import Store
from seedbed.models.embeddings.hash import HashEmbeddings


def write_file(folder: Path, name: str, text: str | bytes = "# T\n\nSome words.\n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def sources(store: Store, collection: str = "default") -> list[str]:
    return [d.source for d in store.documents(collection)]


def reasons(items: list[dict[str, str]]) -> dict[str, str]:
    return {item["path"]: item["reason"] for item in items}


def upload(store: Store, name: str, data: bytes) -> Summary:
    return ingest_uploads(store, [(name, data)])


def counts(summary: Summary) -> tuple[int, int, int, int]:
    return summary.added, summary.updated, summary.unchanged, summary.removed


def test_ingest_reads_folder_and_returns_summary(
    open_store: Callable[..., Store], folder: Path, tmp_path: Path
) -> None:
    store = open_store(max_file_mb=1)
    for name in ("a.md", "sub/deep/b.txt", ".git/config.md", "node_modules/x/readme.md"):
        write_file(folder, name)
    write_file(folder, "pic.png", b"\x89PNG")
    write_file(folder, "broken.pdf", b"%PDF")
    write_file(folder, "big.txt", "x" * (2**20 + 1))
    (folder / "loop").symlink_to(folder)
    (folder / "out.md").symlink_to(write_file(tmp_path, "secret.md", "secret"))
    os.mkfifo(folder / "pipe.md")
    steps: list[tuple[int, int, str]] = []
    summary = ingest(store, [folder, "gone"], progress=lambda *step: steps.append(step))
    assert sources(store) == ["files/a.md", "files/sub/deep/b.txt"]
    assert (summary.added, summary.chunks) == (2, 2)
    assert [step[:2] for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    failed, skipped = reasons(summary.failed), reasons(summary.skipped)
    assert failed.keys() == {"gone", "files/broken.pdf", "files/big.txt"}
    assert "No such file" in failed["gone"] and "RAG_MAX_FILE_MB" in failed["files/big.txt"]
    assert {
        path.removeprefix("files/"): reason.split(":")[0] for path, reason in skipped.items()
    } == {
        ".git": "Hidden",
        "loop": "A symbolic link. Ingest what it points to by its own path.",
        "node_modules": "A folder of generated or installed files.",
        "out.md": "A symbolic link. Ingest what it points to by its own path.",
        "pic.png": "Unsupported file type .png.",
        "pipe.md": "Not a regular file.",
    }


def test_ingest_rereads_only_changed_files(store: Store, folder: Path) -> None:
    for n in range(3):
        write_file(folder, f"{n}.md", f"# N{n}\n\nWords {n}.\n")
    assert counts(ingest(store, [folder])) == (3, 0, 0, 0)
    before = {d.source: d.id for d in store.documents("default")}
    write_file(folder, "1.md", "# N1\n\nOther words.\n")
    os.utime(folder / "2.md", (1, 1))
    (folder / "0.md").unlink()
    assert counts(ingest(store, [folder])) == (0, 1, 1, 0)
    assert counts(ingest(store, [folder], prune=True)) == (0, 0, 2, 1)
    after = {d.source: d.id for d in store.documents("default")}
    assert sorted(after) == ["files/1.md", "files/2.md"]
    assert after["files/2.md"] == before["files/2.md"]
    assert after["files/1.md"] != before["files/1.md"]


def test_ingest_does_not_open_files_with_unchanged_mtime(store: Store, folder: Path) -> None:
    path = write_file(folder, "a.md", "First")
    os.utime(path, (1, 1))
    assert ingest(store, [folder]).added == 1
    path.write_text("Other")  # of the same length: only reading it would show the difference
    os.utime(path, (1, 1))
    assert counts(ingest(store, [folder, path])) == (0, 0, 1, 0)
    assert counts(ingest(store, [folder / ".." / folder.name])) == (0, 0, 1, 0)
    assert sources(store) == ["files/a.md"]


def test_ingest_rereads_all_files_after_chunk_size_change(
    open_store: Callable[..., Store], folder: Path
) -> None:
    write_file(folder, "a.md", "Some words. " * 100)
    first = ingest(open_store(), [folder])
    second = ingest(open_store(chunk_tokens=32), [folder])
    assert counts(second) == (0, 1, 0, 0)
    assert second.chunks > first.chunks


def test_ingest_prunes_only_below_its_paths(store: Store, folder: Path) -> None:
    for name in ("x/a.md", "x/b.md", "y/c.md"):
        write_file(folder, name)
    ingest(store, [folder / "x", folder / "y"])
    (folder / "x/a.md").unlink()
    (folder / "y/c.md").unlink()
    upload(store, "upload.md", b"Uploaded.")
    assert counts(ingest(store, [folder / "x"], prune=True)) == (0, 0, 1, 1)
    assert sources(store) == ["upload.md", "x/b.md", "y/c.md"]
    # A folder without any file may be a disk that is not mounted.
    assert ingest(store, [folder / "y", folder / "gone"], prune=True).removed == 0


def test_document_never_replaces_one_from_elsewhere(store: Store, folder: Path) -> None:
    for name, text in (("x/docs/readme.md", "from x"), ("y/docs/readme.md", "from y")):
        write_file(folder, name, text)
    ingest(store, [folder / "x/docs"])
    summary = ingest(store, [folder / "y/docs"])
    assert "is the name of another document" in summary.failed[0]["reason"]
    assert store.document("default", "docs/readme.md").text == "from x"
    (folder / "x").rename(folder / "z")  # a folder that was moved is still the same documents
    assert counts(ingest(store, [folder / "z/docs"])) == (0, 1, 0, 0)
    upload(store, "note.md", b"Uploaded.")
    assert ingest(store, [write_file(folder, "note.md")]).failed
    ingest(store, [write_file(folder, "other.md")])
    assert "Rename the file" in upload(store, "other.md", b"Uploaded, too.").failed[0]["reason"]


class SpecialEmbeddings(HashEmbeddings):
    """Calls `action` before it embeds a text with the word "special"."""

    def __init__(self, action: Callable[[], None]) -> None:
        super().__init__()
        self.action = action

    def embed(self, texts):  # type: ignore[no-untyped-def]
        if any("special" in text for text in texts):
            self.action()
        return super().embed(texts)


class Panic(BaseException):
    """As raised by libraries in Rust: not an Exception."""


@pytest.mark.parametrize("error", [TypeError("not text"), Panic("index out of bounds")])
def test_ingest_lists_a_file_that_cannot_be_embedded(
    open_store: Callable[..., Store], folder: Path, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    for name in ("a.md", "b.md", "c.md"):
        write_file(folder, name, "special" if name == "b.md" else f"Words of {name}.")
    store = open_store(embeddings=SpecialEmbeddings(fail))
    summary = ingest(store, [folder])
    assert summary.added == 2 and list(reasons(summary.failed)) == ["files/b.md"]
    assert type(error).__name__ in summary.failed[0]["reason"]
    assert counts(ingest(store, [folder])) == (0, 0, 2, 0)


@pytest.mark.parametrize(
    "name", ["new\nline.md", "日本.md", "a..md", "a b'\";--.md", "\udcff.md", "red\x1b[31m.txt"]
)
def test_ingest_reads_files_with_odd_names(store: Store, folder: Path, name: str) -> None:
    (folder / name).write_text("# Odd\n\nStill read.\n")
    assert ingest(store, [folder]).failed == []
    (source,) = sources(store)
    assert source.startswith("files/") and ".." not in source.split("/") and source.isprintable()
    assert store.document("default", source).text.endswith("Still read.\n")
    assert counts(ingest(store, [folder])) == (0, 0, 1, 0)


def test_upload_uses_only_last_part_of_name(store: Store) -> None:
    assert counts(upload(store, "../../etc/pass\\wd.md", b"# A\n\nB.\n")) == (1, 0, 0, 0)
    assert counts(upload(store, "wd.md", b"# A\n\nB.\n")) == (0, 0, 1, 0)
    assert counts(upload(store, "/x/wd.md", b"# A\n\nC.\n")) == (0, 1, 0, 0)
    for name in ("", "..", "a/..", "a\0b.md", "\x1b[31m.md", "\u202e.md", "\udcff.md"):
        assert "not a valid name" in upload(store, name, b"x").failed[0]["reason"]
    assert "empty" in upload(store, "a.md", b"").failed[0]["reason"]
    assert "larger than" in upload(store, "a.md", b"x" * (51 * 2**20)).failed[0]["reason"]
    assert sources(store) == ["wd.md"]


def test_ingest_keeps_old_version_after_failed_update(store: Store, folder: Path) -> None:
    path = write_file(folder, "a.md", "The lever is red.")
    ingest(store, [folder])
    path.write_bytes(b"")
    assert ingest(store, [folder], prune=True).failed
    assert store.keyword_search(store.collections.get("default"), "lever", 1)


def test_upload_is_embedded_while_others_are_written(open_store: Callable[..., Store]) -> None:
    embedding, may_continue = threading.Event(), threading.Event()

    def wait() -> None:
        embedding.set()
        assert may_continue.wait(60)

    store = open_store(embeddings=SpecialEmbeddings(wait))
    files = [("a.md", b"A special text.")]
    thread = threading.Thread(target=ingest_uploads, args=(store, files))
    thread.start()
    assert embedding.wait(60)
    upload(store, "b.md", b"A quick text.")  # Busy after 30 s if the first one had the lock
    store.delete_document("default", "b.md")
    may_continue.set()
    thread.join()
    assert sources(store) == ["a.md"]
