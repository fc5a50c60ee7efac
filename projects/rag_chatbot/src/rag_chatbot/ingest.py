"""Ingest files and folders into a collection. Unchanged files are not read again.

    summary = ingest(store, ["docs"])                        # what `rag-chatbot ingest docs` runs
    summary.added, summary.failed                            # 31, [{"path": …, "reason": …}]

A document's source is its path, beginning with the name of the folder that was ingested. A document
of the same source is replaced only if it came from the same file, or from one that is gone. Parsing
and chunking are in `read/`, tables in `store/`.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from rag_chatbot.read import parse
from rag_chatbot.read.chunk import chunk, counter
from rag_chatbot.read.decode import clean_name
from rag_chatbot.read.find_files import FileEntry, absolute, find_files, is_gone
from rag_chatbot.store.catalogue import Collection
from rag_chatbot.store.records import FileStat, StoredDocument
from rag_chatbot.store.store import Store
from seedbed.errors import BadInput, Busy, SeedbedError, TooLarge

log = logging.getLogger(__name__)
FORMAT = 6  # raise it when parsing or chunking changes: every file is then read again
FRESH_NS = 2_000_000_000  # a file this new may change again within one tick of its mtime

Progress = Callable[[int, int, str], None]  # files done, files in total, source


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


def ingest(
    store: Store,
    paths: Sequence[Path | str],
    *,
    collection: str = "default",
    prune: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Add files and folders to a collection, or update them. Creates the collection if necessary.

    `prune` removes documents whose files below `paths` were deleted; a path without any file may be
    a disk that is not mounted, so documents from there stay. `progress` is called after each file.

    A file that cannot be read, cut or embedded does not stop the others. Raises Unavailable if the
    disk is full. What was stored by then stays, and the next run continues.
    """
    start = time.monotonic()
    summary = Summary()
    owner = store.collections.create(collection)
    stored = {document.source: document for document in store.documents(collection)}
    # 1. List the files.
    files = list(find_files([Path(path) for path in paths]))
    readable = [file for file in files if not file.reason]
    for file in files:
        if file.reason:
            items = summary.failed if file.failed else summary.skipped
            items.append({"path": clean_name(file.source), "reason": file.reason})
    # 2. Read, parse, chunk, embed and store those that are new or changed.
    try:
        for done, file in enumerate(readable, 1):
            source = clean_name(file.source)
            with _failures(summary, source):
                _ingest_file(store, owner, file, source, stored.get(source), summary)
            if progress:
                progress(done, len(readable), source)
        # 3. Remove documents whose files are gone.
        if prune:
            _prune(store, collection, paths, files, summary)
    finally:
        store.update_index()
    summary.seconds = time.monotonic() - start
    return summary


def ingest_uploads(
    store: Store, files: Sequence[tuple[str, bytes]], *, collection: str = "default"
) -> Summary:
    """Add uploaded files, given as (name, content), to a collection, or update them.

    Only the last part of a name is used, so an upload cannot name a path. Failures are as for
    `ingest`.
    """
    start = time.monotonic()
    summary = Summary()
    owner = store.collections.create(collection)
    try:
        for name, data in files:
            with _failures(summary, clean_name(name)):
                source = PurePosixPath(name.replace("\\", "/")).name.strip()
                if source in ("", ".", "..") or source != clean_name(source):
                    raise BadInput(f"{name[:100]!r} is not a valid name for a document.")
                _check_size(store, source, len(data))
                _store(store, owner, source, data, summary)
    finally:
        store.update_index()
    summary.seconds = time.monotonic() - start
    return summary


@contextmanager
def _failures(summary: Summary, source: str) -> Iterator[None]:
    """List a file that cannot be ingested. What is not the file's fault is raised."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # also the tokenizer's, whose panics are not Exceptions
        if isinstance(error, SeedbedError):
            if isinstance(error, Busy) or error.status >= 500:
                raise
            reason = str(error)
        elif isinstance(error, OSError):
            reason = f"The file cannot be read: {error.strerror or error}."
        else:  # a bug in a parser, or what the embeddings do not accept
            log.warning("%r could not be parsed.", source, exc_info=error)
            reason = f"The file could not be parsed ({type(error).__name__})."
        summary.failed.append({"path": source, "reason": reason})


def _ingest_file(
    store: Store,
    owner: Collection,
    file: FileEntry,
    source: str,
    old: StoredDocument | None,
    summary: Summary,
) -> None:
    """Store a file, unless its path, size and time and the settings are those of `old`."""
    stat = file.path.stat()
    key = _key(file.path)
    if (
        old
        and old.data_hash.startswith(_tag(store))
        and (old.path, old.size, old.mtime_ns) == (key, stat.st_size, stat.st_mtime_ns)
    ):
        summary.unchanged += 1
        return
    _check_size(store, source, stat.st_size)
    settled = time.time_ns() - stat.st_mtime_ns > FRESH_NS
    file_stat = FileStat(key, stat.st_size, stat.st_mtime_ns if settled else 0)
    _store(store, owner, source, file.path.read_bytes(), summary, file_stat)


def _store(
    store: Store,
    owner: Collection,
    source: str,
    data: bytes,
    summary: Summary,
    file: FileStat | None = None,
) -> None:
    """Parse, chunk and store a file; with the same content as before only its new time."""
    digest = _tag(store) + hashlib.sha256(data).hexdigest()
    old = store.find(owner, source)
    if old and (old.data_hash, old.path) == (digest, file.path if file else None):
        if file:
            store.touch(old.id, file)
        summary.unchanged += 1
        return
    document = parse(Path(source), data)
    pieces = chunk(document, store.config.chunk_tokens, counter(store.embeddings))
    old = store.add_document(owner.name, source, digest, document, pieces, file=file)
    summary.added += old is None
    summary.updated += old is not None
    summary.chunks += len(pieces)


def _check_size(store: Store, source: str, size: int) -> None:
    limit = store.config.max_file_mb
    if size > limit * 2**20:
        raise TooLarge(f"{source!r} is larger than {limit} MB.", hint="Raise RAG_MAX_FILE_MB.")


def _key(path: Path) -> str:
    """A path as it is stored. File names may contain bytes that are not valid text."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _tag(store: Store) -> str:
    """Prefix of stored hashes. When it changes, no stored document counts as unchanged."""
    return f"{FORMAT}-{store.config.chunk_tokens}:"


def _prune(
    store: Store,
    collection: str,
    paths: Sequence[Path | str],
    files: Sequence[FileEntry],
    summary: Summary,
) -> None:
    """Remove documents whose files below `paths` are gone."""
    for path in paths:
        root = _key(absolute(path))
        if not any(Path(_key(file.path)).is_relative_to(root) for file in files if not file.failed):
            continue  # no file at all: perhaps a disk that is not mounted
        for document in store.documents(collection):
            place = Path(document.path or "")
            if place.is_relative_to(root) and is_gone(place):
                store.delete_document(collection, document.source)
                summary.removed += 1
