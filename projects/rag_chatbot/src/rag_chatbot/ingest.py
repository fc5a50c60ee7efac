"""Bring the files of some folders into a collection. Unchanged files are not read again.

    summary = ingest(store, ["docs"])                        # what `rag-chatbot ingest docs` runs
    summary.added, summary.failed                            # 31, [{"path": …, "reason": …}]

A second thread reads, parses and chunks ahead, while the calling thread embeds and stores in
batches of chunks from several documents. Parsing and chunking are in `read/`, tables in `store/`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from rag_chatbot.config import Config
from rag_chatbot.read import Document, parse
from rag_chatbot.read.chunk import Piece, TokenCounter, chunk, counter
from rag_chatbot.read.find_files import FileEntry, find_files
from rag_chatbot.read.read_ahead import ReadAhead
from rag_chatbot.store.records import FileStat, Parts, StoredDocument, index_parts, joined
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput, SeedbedError, TooLarge

FORMAT = 3  # raise it when parsing or chunking changes: every file is then read again
BATCH_CHUNKS = 512  # embedded and stored together
AHEAD_CHARS = 20_000_000  # limit of parsed text that waits for embedding, to bound the memory
FRESH_NS = 2_000_000_000  # a file this new may change again within one tick of its mtime

Progress = Callable[[int, int, str], None]  # files done, files in total, source
Change = Literal["added", "updated", "unchanged"]


@dataclass
class Summary:
    """What an ingest did: numbers of documents, files left out and why, chunks written."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    chunks: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The same as a dictionary that `json.dumps` accepts."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True)
class _PreparedFile:
    """A file after reading: a document to embed, an unchanged file, or a failure and why."""

    source: str
    change: Change | Literal["failed"]
    reason: str = ""
    data_hash: str = ""
    document: Document | None = None
    pieces: tuple[Piece, ...] = ()
    parts: tuple[Parts, ...] = ()
    file: FileStat | None = None
    old_id: int = 0


def ingest(
    store: Store,
    paths: Sequence[Path | str],
    *,
    collection: str = "default",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    prune: bool = False,
    progress: Progress | None = None,
    waiting: Callable[[str], None] | None = None,
    lock_timeout: float = 60.0,
) -> Summary:
    """Add files and folders to a collection, or update them. Creates the collection if necessary.

    A document's source is its path below the folder in `paths`. Files that match no glob of
    `include`, or one of `exclude`, are left out. `prune` removes documents whose files below
    `paths` were deleted. `progress` is called after each file; `waiting` gets a sentence if another
    ingest is running, which is waited for up to `lock_timeout` seconds.

    A file that cannot be read does not stop the others. Raises Busy when the wait is over,
    ConfigError if the collection was made with other embeddings, and Unavailable if the disk is
    full or the Chroma server stops. What was stored by then stays, and the next run continues.
    """
    start = time.monotonic()
    summary = Summary()
    # 1. Only one process writes at a time; readers are never blocked.
    with store.database.writing(lock_timeout, waiting):
        store.create_collection(collection)
        store.require_embedder(collection)
        stored = {document.path: document for document in store.documents(collection)}
        # 2. List the files, and give each a source that is unique in the collection.
        files = list(find_files([Path(p) for p in paths], include, exclude))
        jobs: list[tuple[FileEntry, str]] = []
        sources = _Sources(stored)
        for file in files:
            if file.reason:
                target = summary.failed if file.failed else summary.skipped
                target.append({"path": _display_path(file), "reason": file.reason})
            else:
                jobs.append((file, sources.assign(file)))
        # 3. Read, parse and chunk in one thread; embed and store in this one.
        _process(store, collection, jobs, stored, summary, progress)
        # 4. Remove documents whose files are gone.
        if prune:
            _prune(store, collection, files, stored, summary)
        # 5. Bring the vector index up to date with the database.
        if summary.chunks or summary.removed:
            store.apply_outbox()
    summary.seconds = time.monotonic() - start
    return summary


def ingest_bytes(
    store: Store, name: str, data: bytes, *, collection: str = "default"
) -> tuple[str, Change, int]:
    """Add one uploaded file to a collection, or update it.

    Returns its source, what was done, and its number of chunks. Only the last part of `name` is
    used, so an upload cannot name a path. Raises BadInput if the file cannot be read, and TooLarge
    if it is larger than `RAG_MAX_FILE_MB`.
    """
    source = PurePosixPath(name.replace("\\", "/")).name.strip()
    if not source or source in (".", ".."):
        raise BadInput(f"{name[:100]!r} is not a valid name for a document.")
    limit = store.config.max_file_mb
    if len(data) > limit * 2**20:
        raise TooLarge(f"{source!r} is larger than {limit} MB.", hint="Raise RAG_MAX_FILE_MB.")
    with store.database.writing():
        store.create_collection(collection)
        old = next((d for d in store.documents(collection) if d.source == source), None)
        digest = _tag(store) + hashlib.sha256(data).hexdigest()
        if old and old.data_hash == digest:
            return source, "unchanged", old.chunks
        document = parse(Path(source), data)
        pieces = chunk(document, store.config.chunk_tokens, counter(store.embeddings))
        store.add_document(collection, source, digest, document, pieces)
    return source, "updated" if old else "added", len(pieces)


def _process(
    store: Store,
    collection: str,
    jobs: list[tuple[FileEntry, str]],
    stored: dict[str | None, StoredDocument],
    summary: Summary,
    progress: Progress | None,
) -> None:
    """Read every file of `jobs`, and store those that are new or changed, in batches."""
    batch: list[_PreparedFile] = []
    size = 0  # chunks in the batch
    prepared = _prepare(store, jobs, stored)
    with ReadAhead(prepared, limit=AHEAD_CHARS, weight=_weight) as ahead:
        for done, ready in enumerate(ahead, 1):
            if progress:
                progress(done, len(jobs), ready.source)
            if ready.change == "failed":
                summary.failed.append({"path": ready.source, "reason": ready.reason})
            elif ready.change == "unchanged":
                summary.unchanged += 1
                if ready.file:
                    store.touch(ready.old_id, ready.file)
            else:
                batch.append(ready)
                size += len(ready.pieces)
            if size >= BATCH_CHUNKS:
                _write(store, collection, batch, summary)
                batch, size = [], 0
        _write(store, collection, batch, summary)


def _write(store: Store, collection: str, batch: list[_PreparedFile], summary: Summary) -> None:
    """Embed a batch in one call, and store its documents."""
    if not batch:
        return
    texts = [joined(*part) for ready in batch for part in ready.parts]
    vectors = store.embed(texts)
    for ready in batch:
        assert ready.document is not None
        store.add_document(
            collection,
            ready.source,
            ready.data_hash,
            ready.document,
            ready.pieces,
            file=ready.file,
            parts=ready.parts,
            vectors=vectors,
            apply=False,
        )
        summary.chunks += len(ready.pieces)
        summary.added += ready.change == "added"
        summary.updated += ready.change == "updated"
    store.apply_outbox()


def _prepare(
    store: Store, jobs: list[tuple[FileEntry, str]], stored: dict[str | None, StoredDocument]
) -> Iterator[_PreparedFile]:
    """Read and chunk one file after the other. Runs in the reading thread."""
    tag, count = _tag(store), counter(store.embeddings)
    sources = {document.source: document for document in stored.values()}
    for file, source in jobs:
        old = stored.get(_key(file.path)) or sources.get(source)
        try:
            yield _read(file, source, old, tag, count, store.config)
        except SeedbedError as error:
            yield _PreparedFile(source, "failed", str(error))
        except OSError as error:
            yield _PreparedFile(
                source, "failed", f"The file cannot be read: {error.strerror or error}."
            )
        except Exception as error:  # a bug in a parser must not stop the other files
            reason = f"The file could not be parsed ({type(error).__name__}: {error})."
            yield _PreparedFile(source, "failed", reason)


def _read(
    file: FileEntry,
    source: str,
    old: StoredDocument | None,
    tag: str,
    count: TokenCounter,
    config: Config,
) -> _PreparedFile:
    """Read, parse and chunk a file unless it is the one that is stored as `old`."""
    # 1. Same path, size and time of change, read with the same settings: unchanged.
    stat = file.path.stat()
    key = _key(file.path)
    if (
        old
        and old.data_hash.startswith(tag)
        and (old.path, old.size, old.mtime_ns) == (key, stat.st_size, stat.st_mtime_ns)
    ):
        return _PreparedFile(source, "unchanged")
    if stat.st_size > config.max_file_mb * 2**20:
        raise TooLarge(
            f"The file is larger than {config.max_file_mb} MB.", hint="Raise RAG_MAX_FILE_MB."
        )
    # 2. Same content: only the new path and time are stored.
    data = file.path.read_bytes()
    settled = time.time_ns() - stat.st_mtime_ns > FRESH_NS
    file_stat = FileStat(key, stat.st_size, stat.st_mtime_ns if settled else 0)
    digest = tag + hashlib.sha256(data).hexdigest()
    if old and old.data_hash == digest:
        return _PreparedFile(source, "unchanged", file=file_stat, old_id=old.id)
    # 3. New or changed: parse and chunk it.
    document = parse(file.path, data)
    pieces = tuple(chunk(document, config.chunk_tokens, count))
    return _PreparedFile(
        source,
        change="updated" if old else "added",
        data_hash=digest,
        document=document,
        pieces=pieces,
        parts=tuple(index_parts(document, pieces)),
        file=file_stat,
    )


def _key(path: Path) -> str:
    """A path as it is stored. File names may contain bytes that are not valid text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _tag(store: Store) -> str:
    """Prefix of stored hashes. When it changes, no stored document counts as unchanged."""
    return f"{FORMAT}-{store.config.chunk_tokens}:"


def _display_path(file: FileEntry) -> str:
    """The path for the summary, in valid UTF-8."""
    path = file.relative if file.relative != "." else str(file.path)
    return path.encode("utf-8", "replace").decode("utf-8")


class _Sources:
    """Gives each file a source that is unique in the collection.

    It is the path below the root, e.g. `guide/a.md`. If another file has it already, the name of
    the root comes first, e.g. `docs/guide/a.md`.
    """

    def __init__(self, stored: dict[str | None, StoredDocument]) -> None:
        self.by_path = {path: document.source for path, document in stored.items() if path}
        self.path_of = {source: path for path, source in self.by_path.items()}

    def assign(self, file: FileEntry) -> str:
        """The source of a file: the stored one, or a new one."""
        path = _key(file.path)
        if path in self.by_path:
            return self.by_path[path]
        relative = file.relative.encode("utf-8", "replace").decode("utf-8")
        source, number = relative, 1
        while not self._free(source, path):
            suffix = "" if number == 1 else f"~{number}"
            source = f"{file.root.name}{suffix}/{relative}"
            number += 1
        self.by_path[path] = source
        self.path_of[source] = path
        return source

    def _free(self, source: str, path: str) -> bool:
        """Whether no other existing file has it. A deleted one does not count: it was moved."""
        other = self.path_of.get(source)
        return other is None or other == path or not os.path.lexists(other)


def _prune(
    store: Store,
    collection: str,
    files: list[FileEntry],
    stored: dict[str | None, StoredDocument],
    summary: Summary,
) -> None:
    """Remove documents whose file below the roots is gone.

    Folders that could not be read are left alone: their files may still be there.
    """
    roots = {str(file.root) for file in files if not file.failed}
    unread = tuple(str(file.path) + os.sep for file in files if file.failed)
    seen = {_key(file.path) for file in files}
    for path, document in stored.items():
        if not path or path in seen or path.startswith(unread) or os.path.lexists(path):
            continue
        if any(path.startswith(root.rstrip(os.sep) + os.sep) for root in roots):
            store.delete_document(collection, document.source, apply=False)
            summary.removed += 1


def _weight(item: _PreparedFile) -> int:
    """Characters of text that it keeps in memory."""
    return len(item.document.text) if item.document else 0
