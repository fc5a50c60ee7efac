"""Vectors in Chroma, by space: embedded in a folder, or in a server that processes share.

    store = VectorStore(Path("var/vision_app/chroma"), url=None, prefix="images-")
    store.upsert("features", [1, 2], vectors)
    store.query("features", vector, k=10)        # [(2, 0.93), (1, 0.41)]

A space is one collection, since vectors of different models cannot be compared. What belongs in the
store is up to `ImageIndex`.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from seedbed.errors import ConfigError, SeedbedError, Unavailable

# Measured by benchmarks/vision_search.py. Chroma writes the graph to disk each `sync_threshold`
# entries, and searches the newest `batch_size` entries one by one.
HNSW = {"space": "cosine", "ef_search": 100, "batch_size": 1000, "sync_threshold": 10_000}
_BATCH = 1000  # entries per request


class VectorStore:
    """(id, vector) pairs by space. Any failure of Chroma is raised as Unavailable."""

    def __init__(self, folder: Path, url: str | None, prefix: str) -> None:
        self.folder = folder
        self.url = url
        self.prefix = prefix
        self._client: Any = None
        self._collections: dict[str, Any] = {}
        self._lock = threading.RLock()

    def upsert(self, space: str, ids: Sequence[int], vectors: npt.NDArray[np.float32]) -> None:
        """Add or replace. vectors: float32 (len(ids), dimension)."""
        with self._translated():
            for at in range(0, len(ids), _BATCH):
                names = [str(i) for i in ids[at : at + _BATCH]]
                self._collection(space).upsert(ids=names, embeddings=vectors[at : at + _BATCH])

    def delete(self, space: str, ids: Collection[int]) -> None:
        """Delete entries; ids without an entry are ignored."""
        names = [str(i) for i in ids]
        with self._translated():
            for at in range(0, len(names), _BATCH):
                self._collection(space).delete(ids=names[at : at + _BATCH])

    def query(self, space: str, vector: npt.NDArray[np.float32], k: int) -> list[tuple[int, float]]:
        """(id, cosine) of the `k` nearest entries, best first. vector: (dimension,)."""
        with self._translated():
            result = self._collection(space).query(
                query_embeddings=vector.reshape(1, -1), n_results=k, include=["distances"]
            )
        pairs = zip(result["ids"][0], result["distances"][0], strict=True)
        return [(int(i), 1.0 - float(distance)) for i, distance in pairs]

    def ids(self, space: str) -> set[int]:
        """The ids of all entries."""
        with self._translated():
            return {int(i) for i in self._collection(space).get(include=[])["ids"]}

    def reopen(self) -> None:
        """Close the client; the next call opens it again and reads what is stored then."""
        with self._lock:
            client, self._client = self._client, None
            self._collections.clear()
            if client is not None:
                with suppress(Exception):
                    client.close()

    def reset(self) -> None:
        """Delete an embedded store, to be rebuilt from the catalogue. A server is left alone."""
        self.reopen()
        if not self.url:
            from chromadb.api.shared_system_client import SharedSystemClient

            SharedSystemClient.clear_system_cache()  # of a client that failed to start
            self.folder.unlink() if self.folder.is_file() else None
            shutil.rmtree(self.folder, ignore_errors=True)

    def _collection(self, space: str) -> Any:
        with self._lock:
            if space not in self._collections:
                self._collections[space] = self._open().get_or_create_collection(
                    self.prefix + space, embedding_function=None, configuration={"hnsw": HNSW}
                )
            return self._collections[space]

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                import chromadb
                from chromadb.config import Settings

                settings = Settings(anonymized_telemetry=False)
                if self.url:
                    host, port, ssl = _address(self.url)
                    self._client = chromadb.HttpClient(host, port, ssl=ssl, settings=settings)
                else:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    self._client = chromadb.PersistentClient(str(self.folder), settings=settings)
            return self._client

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SeedbedError:
            raise
        except BaseException as error:  # Chroma's Rust core panics with a BaseException
            if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
            self.reopen()
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            if self.url:
                raise Unavailable(
                    f"The Chroma server at {self.url} is not available ({reason}).",
                    hint="Start it (chroma run) or unset SEEDBED_CHROMA_URL.",
                ) from None
            raise Unavailable(
                f"The vector index in {str(self.folder)!r} failed ({reason}).",
                hint="The images are stored; the next search rebuilds the index.",
            ) from None


def _address(url: str) -> tuple[str, int, bool]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"{url!r} is not the URL of a Chroma server.", hint="Write http://127.0.0.1:8000."
        )
    ssl = parts.scheme == "https"
    return parts.hostname, parts.port or (443 if ssl else 8000), ssl
