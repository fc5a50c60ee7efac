"""Read files into a collection: only what is new or has changed, and what cannot be read is said.

One thread reads, parses and cuts ahead while the caller's thread embeds and stores, in batches
across documents. This module knows files and the store; parsing and chunking are elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from rag_chatbot.read import Document, parse
from rag_chatbot.read.chunk import Piece, TokenCounter, chunk, counter
from rag_chatbot.read.find_files import Found, walk
from rag_chatbot.store.records import FileStat, Parts, StoredDocument, index_parts, joined
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput, SeedbedError, TooLarge

FORMAT = 1  # raise it when parsing or chunking changes, so that files are read again
BATCH_CHUNKS = 512
AHEAD_CHARS = 20_000_000  # parsed text that waits for embedding, at most
FRESH_NS = 2_000_000_000  # a file changed this recently may change again without a new mtime

Progress = Callable[[int, int, str], None]
Change = Literal["added", "updated", "unchanged"]


@dataclass
class Summary:
    """What an ingest did. `chunks` counts those that were written."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    chunks: int = 0
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True)
class _Ready:
    """A document that waits to be embedded, or a file that needs nothing or failed."""

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
    """Read files and folders into a collection, which is created if need be.

    A document's source is its path below the folder that was given. Only what is new or changed is
    read; with `prune`, documents whose files below these paths are gone are removed. `progress`
    gets (files done, files in all, source); `waiting` a sentence when another ingest is running.
    Raises Busy after `lock_timeout` seconds of that, ConfigError when the collection was made with
    other embeddings, Unavailable when the disk is full or a Chroma server stopped; what was
    written until then is kept, and the next run continues. One bad file never stops the rest.
    """
    began = time.monotonic()
    summary = Summary()
    with store.database.writing(lock_timeout, waiting):
        store.create_collection(collection)
        store.usable(collection)
        known = {document.path: document for document in store.documents(collection)}
        found = list(walk([Path(p) for p in paths], include, exclude))
        jobs: list[tuple[Found, str]] = []
        sources = _Sources(known)
        for item in found:
            if item.reason:
                target = summary.failed if item.failed else summary.skipped
                target.append({"path": _shown(item), "reason": item.reason})
            else:
                jobs.append((item, sources.of(item)))
        _run(store, collection, jobs, known, summary, progress)
        if prune:
            _prune(store, collection, found, known, summary)
        if summary.chunks or summary.removed:
            store.apply_outbox()
    summary.seconds = time.monotonic() - began
    return summary


def ingest_bytes(
    store: Store, name: str, data: bytes, *, collection: str = "default"
) -> tuple[str, Change, int]:
    """Read one uploaded file into a collection. Returns its source, what happened, its chunks.

    Of `name` only the last part counts: an upload never becomes a path. Raises BadInput with the
    reason when it cannot be read, TooLarge over the limit.
    """
    source = PurePosixPath(name.replace("\\", "/")).name.strip()
    if not source or source in (".", ".."):
        raise BadInput(f"{name[:100]!r} is no name for a document.")
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


def _run(
    store: Store,
    collection: str,
    jobs: list[tuple[Found, str]],
    known: dict[str | None, StoredDocument],
    summary: Summary,
    progress: Progress | None,
) -> None:
    batch: list[_Ready] = []
    size = 0
    with _Ahead(_prepare(store, jobs, known)) as ahead:
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


def _write(store: Store, collection: str, batch: list[_Ready], summary: Summary) -> None:
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
    store: Store, jobs: list[tuple[Found, str]], known: dict[str | None, StoredDocument]
) -> Iterator[_Ready]:
    """Runs in the reading thread."""
    tag, count = _tag(store), counter(store.embeddings)
    sources = {document.source: document for document in known.values()}
    for item, source in jobs:
        old = known.get(_key(item.path)) or sources.get(source)
        try:
            yield _read(item, source, old, tag, count, store.config)
        except SeedbedError as error:
            yield _Ready(source, "failed", str(error))
        except OSError as error:
            yield _Ready(source, "failed", f"It cannot be read: {error.strerror or error}.")
        except (
            Exception
        ) as error:  # a parser's bug or a file beyond imagination: not the batch's end
            yield _Ready(
                source, "failed", f"It could not be parsed ({type(error).__name__}: {error})."
            )


def _read(
    item: Found, source: str, old: StoredDocument | None, tag: str, count: TokenCounter, config: Any
) -> _Ready:
    stat = item.path.stat()
    same_settings = bool(old and old.data_hash.startswith(tag))
    if (
        old
        and same_settings
        and (old.path, old.size, old.mtime_ns) == (_key(item.path), stat.st_size, stat.st_mtime_ns)
    ):
        return _Ready(source, "unchanged")
    if stat.st_size > config.max_file_mb * 2**20:
        raise TooLarge(
            f"It is larger than {config.max_file_mb} MB.", hint="Raise RAG_MAX_FILE_MB to read it."
        )
    data = item.path.read_bytes()
    settled = time.time_ns() - stat.st_mtime_ns > FRESH_NS
    file = FileStat(_key(item.path), stat.st_size, stat.st_mtime_ns if settled else 0)
    digest = tag + hashlib.sha256(data).hexdigest()
    if old and old.data_hash == digest:
        return _Ready(source, "unchanged", file=file, old_id=old.id)
    document = parse(item.path, data)
    pieces = tuple(chunk(document, config.chunk_tokens, count))
    parts = tuple(index_parts(document, pieces))
    return _Ready(source, "updated" if old else "added", "", digest, document, pieces, parts, file)


def _key(path: Path) -> str:
    """A path as the catalogue keeps it: names may hold bytes that are no text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _tag(store: Store) -> str:
    return f"{FORMAT}-{store.config.chunk_tokens}:"


def _shown(item: Found) -> str:
    shown = item.relative if item.relative != "." else str(item.path)
    return shown.encode("utf-8", "replace").decode("utf-8")


class _Sources:
    """Names for documents: the path below the root, with the root's name in front where another
    file has that name already."""

    def __init__(self, known: dict[str | None, StoredDocument]) -> None:
        self.by_path = {path: document.source for path, document in known.items() if path}
        self.taken = {source: path for path, source in self.by_path.items()}

    def of(self, item: Found) -> str:
        path = _key(item.path)
        if path in self.by_path:
            return self.by_path[path]
        relative = item.relative.encode("utf-8", "replace").decode("utf-8")
        source, number = relative, 1
        while not self._free(source, path):
            suffix = "" if number == 1 else f"~{number}"
            source = f"{item.root.name}{suffix}/{relative}"
            number += 1
        self.by_path[path] = source
        self.taken[source] = path
        return source

    def _free(self, source: str, path: str) -> bool:
        """A file that is gone gives its name to the one in its place: the folder was moved."""
        other = self.taken.get(source)
        return other is None or other == path or not os.path.lexists(other)


def _prune(
    store: Store,
    collection: str,
    found: list[Found],
    known: dict[str | None, StoredDocument],
    summary: Summary,
) -> None:
    """Remove documents whose file is gone, below the roots; not below a folder that failed."""
    roots = {str(item.root) for item in found if not item.failed}
    unread = tuple(str(item.path) + os.sep for item in found if item.failed)
    seen = {_key(item.path) for item in found}
    for path, document in known.items():
        if not path or path in seen or path.startswith(unread) or os.path.lexists(path):
            continue
        if any(path.startswith(root.rstrip(os.sep) + os.sep) for root in roots):
            store.delete_document(collection, document.source, apply=False)
            summary.removed += 1


class _Ahead:
    """Iterates over what another thread prepares, bounded by the amount of text that waits."""

    def __init__(self, items: Iterator[_Ready]) -> None:
        self._items = items
        self._queue: queue.SimpleQueue[_Ready | BaseException | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._waiting = 0
        self._stopped = False
        self._thread = threading.Thread(target=self._fill, name="ingest-reader", daemon=True)

    def __enter__(self) -> _Ahead:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._room:
            self._stopped = True
            self._room.notify_all()
        self._thread.join()

    def __iter__(self) -> Iterator[_Ready]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            with self._room:
                self._waiting -= _weight(item)
                self._room.notify_all()
            yield item

    def _fill(self) -> None:
        try:
            for item in self._items:
                with self._room:
                    self._room.wait_for(lambda: self._stopped or self._waiting < AHEAD_CHARS)
                    if self._stopped:
                        return
                    self._waiting += _weight(item)
                self._queue.put(item)
            self._queue.put(None)
        except BaseException as error:
            self._queue.put(error)


def _weight(item: _Ready) -> int:
    return len(item.document.text) if item.document else 0
