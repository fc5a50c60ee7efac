"""Bring the files of some folders into a collection. Unchanged files are not read again.

    summary = ingest(store, ["docs"])                        # what `rag-chatbot ingest docs` runs
    summary.added, summary.failed                            # 31, [{"path": …, "reason": …}]

A document never replaces another one that came from elsewhere: a file gets a longer name if its own
is taken, and an upload is refused.

A second thread reads, parses and chunks ahead, while the calling thread embeds and stores. Parsing
and chunking are in `read/`, tables in `store/`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from rag_chatbot.config import Config
from rag_chatbot.read import Document, parse
from rag_chatbot.read.chunk import Piece, TokenCounter, chunk, counter
from rag_chatbot.read.decode import clean_name
from rag_chatbot.read.find_files import FileEntry, find_files
from rag_chatbot.store.records import FileStat, StoredDocument
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput, SeedbedError, TooLarge, Unavailable

log = logging.getLogger(__name__)
FORMAT = 3  # raise it when parsing or chunking changes: every file is then read again
BATCH_CHUNKS = 512  # written to the vector index together
AHEAD = 8  # files that are read while one is embedded: few, to bound the memory
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
class _ReadFile:
    """A file that was read: new or changed, with its document; or unchanged, without.

    `stat` is to be stored, where it differs from what is.
    """

    data_hash: str = ""
    document: Document | None = None
    pieces: Sequence[Piece] = ()
    stat: FileStat | None = None


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
    `paths` were deleted; a path without any file may be a disk that is not mounted, so documents
    from there stay. `progress` is called after each file; `waiting` gets a sentence if another
    ingest is running, which is waited for up to `lock_timeout` seconds.

    A file that cannot be read, cut or embedded does not stop the others. Raises Busy when the wait
    is over, ConfigError if the collection was made with other embeddings, and Unavailable if the
    disk is full. What was stored by then stays, and the next run continues.
    """
    start = time.monotonic()
    summary = Summary()
    # 1. Only one process writes at a time; readers are never blocked.
    with store.database.writing(lock_timeout, waiting):
        store.create_collection(collection)
        store.require_embedder(collection)
        stored = store.documents(collection)
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
            _prune(store, collection, paths, files, stored, summary)
        # 5. Bring the vector index up to date with the database.
        try:
            store.check_index()
        except Unavailable as error:
            summary.failed.append({"path": "vector index", "reason": str(error)})
    summary.seconds = time.monotonic() - start
    return summary


def ingest_bytes(
    store: Store, name: str, data: bytes, *, collection: str = "default"
) -> tuple[str, Change, int]:
    """Add one uploaded file to a collection, or update it.

    Returns its source, what was done, and its number of chunks. Only the last part of `name` is
    used, so an upload cannot name a path. Raises BadInput if the file cannot be read or has the
    name of an ingested file, and TooLarge if it is larger than `RAG_MAX_FILE_MB`.
    """
    source = PurePosixPath(name.replace("\\", "/")).name.strip()
    if source in ("", ".", "..") or source != clean_name(source):
        raise BadInput(f"{name[:100]!r} is not a valid name for a document.")
    limit = store.config.max_file_mb
    if len(data) > limit * 2**20:
        raise TooLarge(f"{source!r} is larger than {limit} MB.", hint="Raise RAG_MAX_FILE_MB.")
    with store.database.writing():
        store.create_collection(collection)
        old = next((d for d in store.documents(collection) if d.source == source), None)
        digest = _tag(store) + _digest(data)
        if old and old.data_hash == digest:
            return source, "unchanged", old.chunks
        if old and old.path:
            raise BadInput(
                f"{source!r} was ingested from a folder; an upload cannot replace it.",
                hint="Rename the file.",
            )
        document = parse(Path(source), data)
        pieces = chunk(document, store.config.chunk_tokens, counter(store.embeddings))
        store.add_document(collection, source, digest, document, pieces)
    return source, "updated" if old else "added", len(pieces)


def _process(
    store: Store,
    collection: str,
    jobs: list[tuple[FileEntry, str]],
    stored: list[StoredDocument],
    summary: Summary,
    progress: Progress | None,
) -> None:
    """Read every file of `jobs`, and store those that are new or changed."""
    documents = {document.source: document for document in stored}
    waiting = 0  # chunks that the vector index has not received yet
    for done, (source, future) in enumerate(_read_ahead(store, jobs, documents), 1):
        if progress:
            progress(done, len(jobs), source)
        old = documents.get(source)
        try:
            file = future.result()
            if file.document is not None:
                store.add_document(
                    collection,
                    source,
                    file.data_hash,
                    file.document,
                    file.pieces,
                    file=file.stat,
                    apply=False,
                )
            elif file.stat and old:
                store.touch(old.id, file.stat)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # also the tokenizer's, whose panics are not Exceptions
            if isinstance(error, SeedbedError) and error.status >= 500:  # not the file's fault
                raise
            summary.failed.append({"path": source, "reason": _reason(error)})
            continue
        if file.document is None:
            summary.unchanged += 1
            continue
        summary.added += old is None
        summary.updated += old is not None
        summary.chunks += len(file.pieces)
        waiting += len(file.pieces)
        if waiting >= BATCH_CHUNKS:
            store.update_index()
            waiting = 0
    store.update_index()


def _read_ahead(
    store: Store, jobs: list[tuple[FileEntry, str]], documents: dict[str, StoredDocument]
) -> Iterator[tuple[str, Future[_ReadFile]]]:
    """Yield each source with its file, which one thread reads while others are embedded."""
    tag, count = _tag(store), counter(store.embeddings)
    ahead: deque[tuple[str, Future[_ReadFile]]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        try:
            for file, source in jobs:
                old = documents.get(source)
                ahead.append((source, reader.submit(_read, file, old, tag, count, store.config)))
                if len(ahead) > AHEAD:
                    yield ahead.popleft()
            yield from ahead
        finally:
            reader.shutdown(wait=False, cancel_futures=True)


def _reason(error: BaseException) -> str:
    """Why a file was not ingested."""
    if isinstance(error, SeedbedError):
        return str(error)
    if isinstance(error, OSError):
        return f"The file cannot be read: {error.strerror or error}."
    # A bug in a parser, or what the embeddings do not accept.
    return clean_name(f"The file could not be parsed ({type(error).__name__}: {error}).")


def _read(
    file: FileEntry,
    old: StoredDocument | None,
    tag: str,
    count: TokenCounter,
    config: Config,
) -> _ReadFile:
    """Read, parse and chunk a file unless it is the one that is stored as `old`."""
    # 1. Same path, size and time of change, read with the same settings: unchanged.
    stat = file.path.stat()
    key = _key(file.path)
    if (
        old
        and old.data_hash.startswith(tag)
        and (old.path, old.size, old.mtime_ns) == (key, stat.st_size, stat.st_mtime_ns)
    ):
        return _ReadFile()
    if stat.st_size > config.max_file_mb * 2**20:
        raise TooLarge(
            f"The file is larger than {config.max_file_mb} MB.", hint="Raise RAG_MAX_FILE_MB."
        )
    # 2. Same content: only the new path and time are stored.
    data = file.path.read_bytes()
    settled = time.time_ns() - stat.st_mtime_ns > FRESH_NS
    file_stat = FileStat(key, stat.st_size, stat.st_mtime_ns if settled else 0)
    digest = tag + _digest(data)
    if old and old.data_hash == digest:
        return _ReadFile(stat=file_stat)
    # 3. New or changed: parse and chunk it.
    document = parse(file.path, data)
    pieces = chunk(document, config.chunk_tokens, count)
    return _ReadFile(digest, document, pieces, file_stat)


def _key(path: Path) -> str:
    """A path as it is stored. File names may contain bytes that are not valid text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _tag(store: Store) -> str:
    """Prefix of stored hashes. When it changes, no stored document counts as unchanged."""
    return f"{FORMAT}-{store.config.chunk_tokens}:"


def _display_path(file: FileEntry) -> str:
    """The path for the summary, in printable text."""
    path = file.relative if file.relative != "." else str(file.path)
    return clean_name(path)


class _Sources:
    """Gives each file a source that is unique in the collection.

    It is the path below the root, e.g. `guide/a.md`. If another document has it already, the name
    of the root comes first, e.g. `docs/guide/a.md`.
    """

    def __init__(self, stored: list[StoredDocument]) -> None:
        self.by_path = {document.path: document.source for document in stored if document.path}
        self.by_source = {document.source: document for document in stored}
        self.assigned: set[str] = set()

    def assign(self, file: FileEntry) -> str:
        """The source of a file: the stored one, or a new one."""
        path = _key(file.path)
        if path not in self.by_path:
            relative, root = clean_name(file.relative), clean_name(file.root.name)
            source, number = relative, 1
            while not self._free(source, file):
                suffix = "" if number == 1 else f"~{number}"
                source = f"{root}{suffix}/{relative}"
                number += 1
            self.by_path[path] = source
            self.assigned.add(source)
        return self.by_path[path]

    def _free(self, source: str, file: FileEntry) -> bool:
        """Whether no other document has it. A file that was moved keeps its source."""
        other = self.by_source.get(source)
        return source not in self.assigned and (other is None or _moved(other, file))


def _moved(document: StoredDocument, file: FileEntry) -> bool:
    """Whether `file` is the document's file under another path, by its content.

    Without the same content, the other path may be on a disk that is not mounted at the moment.
    """
    if not document.path or not _is_gone(document.path):
        return False
    try:
        same_size = file.path.stat().st_size == document.size
        return same_size and document.data_hash.endswith(_digest(file.path.read_bytes()))
    except OSError:
        return False


def _prune(
    store: Store,
    collection: str,
    paths: Sequence[Path | str],
    files: list[FileEntry],
    stored: list[StoredDocument],
    summary: Summary,
) -> None:
    """Remove documents whose file at or below `paths` is gone.

    Folders that could not be read are left alone: their files may still be there.
    """
    present = {_key(file.path): file for file in files if not _is_gone(file.path)}
    unread = tuple(path + os.sep for path, file in present.items() if file.failed)
    gone = {
        document.path: document.source
        for document in stored
        if document.path
        and not document.path.startswith(unread)
        and document.path not in present
        and _is_gone(document.path)
    }
    for root in paths:
        key = _key(Path(os.path.abspath(root)))
        below = [path for path in gone if _is_below(path, key)]
        if below and not any(_is_below(path, key) for path in present):
            reason = (
                f"No files here; a disk may not be mounted. The {len(below)} documents from here"
                " were not removed. Delete one with: rag-chatbot documents delete NAME"
            )
            summary.failed.append({"path": clean_name(str(root)), "reason": reason})
            continue
        for path in below:
            store.delete_document(collection, gone.pop(path), apply=False)
            summary.removed += 1


def _is_gone(path: Path | str) -> bool:
    """Whether nothing is at this path. Where permission is missing, something may be."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
