"""Ingesting files: which are read, which are left out and why, and what a second run does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest, ingest_bytes
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput, Busy, SeedbedError, TooLarge
from seedbed.models.embeddings.hash import HashEmbeddings

NOBODY = 65534


def write_file(folder: Path, name: str, text: str | bytes = "# T\n\nSome words.\n") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def sources(store: Store, collection: str = "default") -> list[str]:
    return [d.source for d in store.documents(collection)]


def reasons(items: list[dict[str, str]]) -> dict[str, str]:
    return {item["path"]: item["reason"] for item in items}


def counts(summary: object) -> tuple[int, int, int, int]:
    return tuple(getattr(summary, n) for n in ("added", "updated", "unchanged", "removed"))  # type: ignore[return-value]


def test_ingest_reads_folder_and_returns_summary(store: Store, folder: Path) -> None:
    write_file(folder, "a.md")
    write_file(folder, "sub/deep/b.txt", "Text.")
    write_file(folder, "c.json", "[1, 2]")
    write_file(folder, "pic.png", b"\x89PNG")
    write_file(folder, "broken.pdf", b"%PDF")
    steps: list[tuple[int, int, str]] = []
    summary = ingest(store, [folder], progress=lambda *step: steps.append(step))
    assert sources(store) == ["a.md", "c.json", "sub/deep/b.txt"]
    report = summary.as_json()
    assert list(report) == [
        "added",
        "updated",
        "unchanged",
        "removed",
        "failed",
        "skipped",
        "chunks",
        "seconds",
    ]
    assert (report["added"], report["chunks"]) == (3, 3)
    assert report["failed"] == [
        {"path": "broken.pdf", "reason": "Not a PDF file, or a damaged or truncated one."}
    ]
    assert report["skipped"] == [{"path": "pic.png", "reason": "Unsupported file type .png."}]
    assert [step[:2] for step in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]


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
    assert sorted(after) == ["1.md", "2.md"]
    assert after["2.md"] == before["2.md"] and after["1.md"] != before["1.md"]


def test_ingest_detects_change_with_equal_size_and_mtime(store: Store, folder: Path) -> None:
    path = write_file(folder, "a.md", "one")
    ingest(store, [folder])
    stat = path.stat()
    path.write_text("two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert counts(ingest(store, [folder])) == (0, 1, 0, 0)


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
    ingest_bytes(store, "upload.md", b"Uploaded.")
    assert counts(ingest(store, [folder / "x"], prune=True)) == (0, 0, 1, 1)
    assert sources(store) == ["b.md", "c.md", "upload.md"]
    assert ingest(store, [folder / "gone"], prune=True).removed == 0


def test_ingest_keeps_documents_of_folders_without_files(store: Store, folder: Path) -> None:
    for name in ("x/a.md", "x/b.md", "y/c.md"):
        write_file(folder, name)
    ingest(store, [folder / "x", folder / "y"])
    for path in (folder / "x").iterdir():
        path.unlink()
    (folder / "y/c.md").unlink()
    (folder / "y").rmdir()
    summary = ingest(store, [folder / "x", folder / "y"], prune=True)
    assert summary.removed == 0 and len(sources(store)) == 3
    kept = reasons(summary.failed)
    assert "The 2 documents from here were not removed" in kept[str(folder / "x")]
    assert "No such file or folder" in summary.failed[0]["reason"] and len(summary.failed) == 3


def test_ingest_names_equal_paths_of_two_folders_differently(store: Store, folder: Path) -> None:
    write_file(folder, "x/readme.md", "from x")
    write_file(folder, "y/readme.md", "from y")
    ingest(store, [folder / "x"])
    ingest(store, [folder / "y"])
    assert sources(store) == ["readme.md", "y/readme.md"]
    assert counts(ingest(store, [folder / "y", folder / "x"])) == (0, 0, 2, 0)
    (folder / "x").rename(folder / "z")
    assert counts(ingest(store, [folder / "z"])) == (0, 0, 1, 0)
    assert sources(store) == ["readme.md", "y/readme.md"]


def test_ingest_keeps_documents_of_a_folder_that_is_not_mounted(store: Store, folder: Path) -> None:
    write_file(folder, "a/readme.md", "Alpha costs 111.")
    ingest(store, [folder / "a"])
    (folder / "a").rename(folder / "unmounted")
    write_file(folder, "b/readme.md", "Beta costs 222.")
    assert counts(ingest(store, [folder / "b"], prune=True)) == (1, 0, 0, 0)
    assert sources(store) == ["b/readme.md", "readme.md"]
    assert "111" in store.document("default", "readme.md").text
    (folder / "unmounted").rename(folder / "a")
    assert counts(ingest(store, [folder / "a", folder / "b"])) == (0, 0, 2, 0)


def test_ingest_and_upload_never_replace_each_other(store: Store, folder: Path) -> None:
    ingest_bytes(store, "readme.md", b"Uploaded.")
    write_file(folder, "readme.md", "Of the folder.")
    write_file(folder, "other.md", "Of the folder, too.")
    assert counts(ingest(store, [folder])) == (2, 0, 0, 0)
    assert sources(store) == ["files/readme.md", "other.md", "readme.md"]
    assert store.document("default", "readme.md").text == "Uploaded."
    with pytest.raises(BadInput, match="Rename the file"):
        ingest_bytes(store, "other.md", b"Uploaded, too.")
    assert ingest_bytes(store, "other.md", b"Of the folder, too.")[1] == "unchanged"
    assert counts(ingest(store, [folder], prune=True)) == (0, 0, 2, 0)


def test_ingest_reads_file_passed_twice_once(store: Store, folder: Path) -> None:
    path = write_file(folder, "sub/a.md")
    assert counts(ingest(store, [path, path, folder / "sub", str(path)])) == (1, 0, 0, 0)
    assert sources(store) == ["a.md"]


def test_ingest_of_one_folder_by_two_paths_stores_it_once(store: Store, folder: Path) -> None:
    write_file(folder, "a.md")
    ingest(store, [folder])
    assert counts(ingest(store, [folder / ".." / folder.name])) == (0, 0, 1, 0)
    assert sources(store) == ["a.md"]


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["*.md"], [], ["a.md", "drafts/c.md", "keep/d.md"]),
        ([], ["*.txt"], ["a.md", "drafts/c.md", "keep/d.md"]),
        ([], ["drafts/*"], ["a.md", "b.txt", "keep/d.md"]),
        ([], ["drafts"], ["a.md", "b.txt", "keep/d.md"]),
        (["keep/*", "*.txt"], [], ["b.txt", "keep/d.md"]),
        (["*.md"], ["keep/**"], ["a.md", "drafts/c.md"]),
    ],
)
def test_ingest_filters_files_by_globs(
    store: Store, folder: Path, include: list[str], exclude: list[str], expected: list[str]
) -> None:
    for name in ("a.md", "b.txt", "drafts/c.md", "keep/d.md"):
        write_file(folder, name)
    ingest(store, [folder], include=include, exclude=exclude)
    assert sources(store) == expected


def test_ingest_skips_hidden_generated_and_linked_files_with_reason(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    write_file(folder, "a.md")
    write_file(folder, ".git/config.md")
    write_file(folder, ".hidden.md")
    write_file(folder, "node_modules/x/readme.md")
    (folder / "loop").symlink_to(folder)
    (folder / "out.md").symlink_to(write_file(tmp_path, "secret.md", "secret"))
    (folder / "dead.md").symlink_to(folder / "nowhere.md")
    (folder / "again.md").symlink_to(folder / "a.md")
    os.mkfifo(folder / "pipe.md")
    summary = ingest(store, [folder])
    assert sources(store) == ["a.md"]
    assert summary.failed == []
    skip_reasons = reasons(summary.skipped)
    assert set(skip_reasons) == {
        ".git",
        ".hidden.md",
        "node_modules",
        "loop",
        "out.md",
        "dead.md",
        "pipe.md",
        "again.md",
    }
    assert "Hidden" in skip_reasons[".git"]
    assert all("link" in skip_reasons[name] for name in ("loop", "out.md", "dead.md", "again.md"))
    assert "regular" in skip_reasons["pipe.md"]


def test_ingest_follows_a_link_that_is_passed_to_it(store: Store, folder: Path) -> None:
    write_file(folder, "sub/good.md")
    (folder / "link").symlink_to(folder / "sub")
    assert ingest(store, [folder / "link"]).failed == []
    assert sources(store) == ["good.md"]
    links = {"a": "b", "b": "a", "through.md": "sub/good.md/x", "long.md": "n" * 300}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    alone = ingest(store, [folder / name for name in links])
    assert len(alone.failed) == len(links)
    assert any("Too many levels" in item["reason"] for item in alone.failed)


def test_ingest_lists_a_path_that_is_too_long(store: Store, folder: Path) -> None:
    write_file(folder, "good.md")
    start = Path.cwd()
    try:
        os.chdir(folder)
        depth = len(os.fsencode(folder))
        while depth < 4050:  # a path that one call may not name, made in steps
            name = "d" * min(200, 4050 - depth)
            Path(name).mkdir()
            os.chdir(name)
            depth += len(name) + 1
        Path("f" * 100 + ".md").write_text("Unreachable.")
    finally:
        os.chdir(start)
    summary = ingest(store, [folder])
    assert sources(store) == ["good.md"]
    assert [item["reason"] for item in summary.failed] == ["Cannot be read: File name too long."]


class PickyEmbeddings(HashEmbeddings):
    """Raises an error of its own for a text with a certain word, as tokenizers do for some."""

    def embed(self, texts):  # type: ignore[no-untyped-def]
        if any("poison" in text for text in texts):
            raise TypeError("TextEncodeInput must be text")
        return super().embed(texts)


def test_ingest_lists_a_file_that_cannot_be_embedded(
    open_store: Callable[..., Store], folder: Path
) -> None:
    for name in ("a.md", "b.md", "c.md"):
        write_file(folder, name, "poison" if name == "b.md" else f"Words of {name}.")
    store = open_store(embeddings=PickyEmbeddings())
    summary = ingest(store, [folder])
    assert summary.added == 2 and list(reasons(summary.failed)) == ["b.md"]
    assert "TypeError" in summary.failed[0]["reason"]
    assert counts(ingest(store, [folder])) == (0, 0, 2, 0)


class Panic(BaseException):
    """As raised by libraries in Rust: not an Exception."""


class PanickingEmbeddings(HashEmbeddings):
    def count_tokens(self, text: str) -> int:
        if "poison" in text:
            raise Panic("index out of bounds")
        return len(text.split())


def test_ingest_lists_a_file_that_makes_the_tokenizer_panic(
    open_store: Callable[..., Store], folder: Path
) -> None:
    write_file(folder, "a.md", "poison")
    write_file(folder, "b.md", "Words.")
    summary = ingest(open_store(embeddings=PanickingEmbeddings()), [folder])
    assert summary.added == 1 and list(reasons(summary.failed)) == ["a.md"]


def test_ingest_with_real_embeddings_reads_names_that_are_not_utf8(
    open_store: Callable[..., Store], folder: Path
) -> None:
    from seedbed.models.embeddings.load_embeddings import load_embeddings

    for name in ("\udcff.txt", "\udcfe.txt", "red\x1b[31m.txt"):
        (folder / name).write_text("Plain words.")
    store = open_store(embeddings=load_embeddings())
    assert ingest(store, [folder]).failed == []
    assert sources(store) == ["files/\ufffd.txt", "red\ufffd[31m.txt", "\ufffd.txt"]
    assert counts(ingest(store, [folder])) == (0, 0, 3, 0)


@pytest.mark.parametrize(
    "name", ["new\nline.md", "日本.md", "a..md", "a b'\";--.md", "\udcff.md", "*.md"]
)
def test_ingest_reads_files_with_odd_names(store: Store, folder: Path, name: str) -> None:
    (folder / "d").mkdir()
    (folder / "d" / name).write_text("# Odd\n\nStill read.\n")
    assert ingest(store, [folder]).failed == []
    (source,) = sources(store)
    assert source.startswith("d/") and ".." not in source.split("/")
    assert store.document("default", source).text.endswith("Still read.\n")
    assert counts(ingest(store, [folder])) == (0, 0, 1, 0)


def nobody_user_exists() -> bool:
    """False in a container whose only user is root, who may read everything."""
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return any(int(first) <= NOBODY < int(first) + int(size) for first, _, size in ranges)


@pytest.mark.skipif(os.geteuid() == 0 and not nobody_user_exists(), reason="only root exists here")
def test_ingest_reports_files_without_read_permission() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "files"
        for path in ("open/a.md", "closed/b.md", "shut.md"):
            write_file(folder, path)
        store = Store(Config(data_dir=Path(name) / "data"), HashEmbeddings())
        ingest(store, [folder])
        (folder / "closed").chmod(0)
        write_file(folder, "listed/d.md")
        write_file(folder, "listed/deep/e.md")
        (folder / "listed").chmod(0o444)  # its names can be read, its files cannot
        (folder / "shut.md").write_text("changed, and no longer readable")
        (folder / "shut.md").chmod(0)
        Path(name).chmod(0o755)
        root = os.geteuid() == 0
        try:
            if root:  # root may read everything: become the user nobody, who may write to the data
                for path in [*(Path(name) / "data").rglob("*"), Path(name) / "data"]:
                    os.chown(path, NOBODY, NOBODY)
                os.seteuid(NOBODY)
            summary = ingest(store, [folder], prune=True)
            store.close()
        finally:
            if root:
                os.seteuid(0)
            (folder / "closed").chmod(0o755)
            (folder / "listed").chmod(0o755)
        unreadable = {"closed", "shut.md", "listed/d.md", "listed/deep"}
        assert set(reasons(summary.failed)) == unreadable
        assert all("Permission denied" in reason for reason in reasons(summary.failed).values())
        assert counts(summary) == (0, 0, 1, 0)


def test_ingest_reports_missing_paths_and_large_files(
    open_store: Callable[..., Store], folder: Path
) -> None:
    write_file(folder, "a.md")
    write_file(folder, "big.txt", "x" * (2**20 + 1))
    summary = ingest(open_store(max_file_mb=1), [folder, folder / "nothing"])
    assert summary.added == 1
    failures = reasons(summary.failed)
    assert "RAG_MAX_FILE_MB" in failures["big.txt"]
    assert "No such file" in failures[str(folder / "nothing")]


def test_ingest_bytes_uses_only_last_part_of_name(store: Store) -> None:
    assert ingest_bytes(store, "../../etc/pass\\wd.md", b"# A\n\nB.\n") == ("wd.md", "added", 1)
    assert ingest_bytes(store, "wd.md", b"# A\n\nB.\n")[1] == "unchanged"
    assert ingest_bytes(store, "/x/wd.md", b"# A\n\nC.\n")[1] == "updated"
    assert sources(store) == ["wd.md"]
    for name in ("", "..", "a/..", "/", "a\0b.md", "\x1b[31m.md", "\u202e.md", "\udcff.md"):
        with pytest.raises(BadInput, match="not a valid name"):
            ingest_bytes(store, name, b"x")
    with pytest.raises(BadInput, match="empty"):
        ingest_bytes(store, "a.md", b"")
    with pytest.raises(TooLarge):
        ingest_bytes(store, "a.md", b"x" * (51 * 2**20))


def test_ingest_keeps_old_version_after_failed_update(store: Store, folder: Path) -> None:
    path = write_file(folder, "a.json", '{"lever": "red"}')
    ingest(store, [folder])
    path.write_text("{")
    assert ingest(store, [folder], prune=True).failed
    assert store.text("default", "lever", 1)


def test_ingest_waits_for_another_then_raises_busy(
    open_store: Callable[..., Store], folder: Path
) -> None:
    write_file(folder, "a.md")
    one, two = open_store(), open_store()
    notices: list[str] = []
    with one.database.writing(), pytest.raises(Busy, match="Try again"):
        ingest(two, [folder], waiting=notices.append, lock_timeout=0.1)
    assert len(notices) == 1
    assert ingest(two, [folder], waiting=notices.append).added == 1


def test_ingest_completes_after_embedding_error(
    open_store: Callable[..., Store], folder: Path
) -> None:
    class Failing(HashEmbeddings):
        def embed(self, _):  # type: ignore[no-untyped-def]
            raise SeedbedError("The embeddings stopped.")

    for n in range(30):
        write_file(folder, f"{n}.md", f"Words {n}.")
    with pytest.raises(SeedbedError, match="stopped"):
        ingest(open_store(embeddings=Failing()), [folder])
    assert ingest(open_store(), [folder]).added == 30


def test_ingest_does_not_open_files_with_unchanged_mtime(store: Store, folder: Path) -> None:
    def write_with_old_mtime(text: str) -> None:
        for n in range(100):
            path = write_file(folder, f"{n % 10}/{n}.md", f"## Part\n\n{text} {n}.\n")
            os.utime(path, (1, 1))

    write_with_old_mtime("First")
    assert ingest(store, [folder]).chunks == 100
    write_with_old_mtime("Other")  # of the same length: only reading them would show the difference
    assert counts(ingest(store, [folder])) == (0, 0, 100, 0)


def test_ingest_with_real_embeddings_supports_semantic_search(
    open_store: Callable[..., Store], folder: Path
) -> None:
    from seedbed.models.embeddings.load_embeddings import load_embeddings

    write_file(folder, "pump.md", "# Pump\n\nIt starts when the red lever is pushed down.\n")
    write_file(folder, "tea.txt", "Pour boiling water over the leaves and wait three minutes.\n")
    store = open_store(embeddings=load_embeddings())
    assert ingest(store, [folder]).added == 2
    query = store.embeddings.embed(["how to brew a hot drink"])[0]
    best = store.dense("default", query, 2)
    assert store.chunks([best[0][0]])[0].source == "tea.txt"
    assert best[0][1] > 0.3
