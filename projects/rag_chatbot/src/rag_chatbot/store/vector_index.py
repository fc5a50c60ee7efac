"""The vector index: Chroma, embedded in a folder or as a server. It holds nothing of its own.

Every entry is a chunk id and its vector, copied from the catalogue, which can rebuild all of it.
An embedded Chroma does not notice what another process wrote: `reopen` makes it look again.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from seedbed.errors import ConfigError, SeedbedError, Unavailable

# The space is cosine, so a distance is 1 - cosine.
HNSW = {"space": "cosine", "ef_search": 200}
PREFIX = "seedbed-"


class Index:
    """Collections of (chunk id, vector). Every failure of Chroma is raised as Unavailable."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        self.url = url
        self._client: Any = None
        self._collections: dict[str, Any] = {}
        self._lock = threading.RLock()

    def upsert(self, name: str, ids: Sequence[int], vectors: np.ndarray) -> None:
        """vectors: float32 (len(ids), dimension). Writing the same again changes nothing."""
        with self._translated():
            collection = self._collection(name)
            for at in range(0, len(ids), 1000):
                collection.upsert(
                    ids=[str(i) for i in ids[at : at + 1000]], embeddings=vectors[at : at + 1000]
                )

    def delete(self, name: str, ids: Sequence[int]) -> None:
        with self._translated():
            collection = self._collection(name)
            for at in range(0, len(ids), 1000):
                collection.delete(ids=[str(i) for i in ids[at : at + 1000]])

    def drop(self, name: str) -> None:
        from chromadb.errors import NotFoundError

        with self._translated():
            self._collections.pop(name, None)
            with suppress(NotFoundError, ValueError):
                self._open().delete_collection(name)

    def query(self, name: str, vector: np.ndarray, k: int) -> list[tuple[int, float]]:
        """The nearest chunk ids with their cosine, best first."""
        with self._translated():
            found = self._collection(name).query(
                query_embeddings=vector.reshape(1, -1), n_results=k, include=["distances"]
            )
        pairs = zip(found["ids"][0], found["distances"][0], strict=True)
        return [(int(i), 1.0 - float(distance)) for i, distance in pairs]

    def ids(self, name: str) -> set[int]:
        with self._translated():
            return {int(i) for i in self._collection(name).get(include=[])["ids"]}

    def count(self, name: str) -> int:
        with self._translated():
            return int(self._collection(name).count())

    def reopen(self) -> None:
        """Forget the client, so that the next call reads what is on disk now."""
        with self._lock:
            client, self._client = self._client, None
            self._collections.clear()
            if client is not None:
                with suppress(Exception):
                    client.close()

    def reset(self) -> None:
        """Throw an embedded index away; the catalogue rebuilds it. A server is left alone."""
        self.reopen()
        if not self.url:
            from chromadb.api.client import SharedSystemClient

            SharedSystemClient.clear_system_cache()  # it may remember one that failed to start
            shutil.rmtree(self.folder, ignore_errors=True)

    close = reopen

    def _collection(self, name: str) -> Any:
        with self._lock:
            if name not in self._collections:
                self._collections[name] = self._open().get_or_create_collection(
                    name, embedding_function=None, configuration={"hnsw": HNSW}
                )
            return self._collections[name]

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
                    f"The Chroma server at {self.url} does not answer ({reason}).",
                    hint="Start it (chroma run) or unset SEEDBED_CHROMA_URL.",
                ) from None
            raise Unavailable(
                f"The vector index in {str(self.folder)!r} failed ({reason}).",
                hint="It is rebuilt from the catalogue at the next start.",
            ) from None


def _address(url: str) -> tuple[str, int, bool]:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"SEEDBED_CHROMA_URL={url!r} is not an address.", hint="Try http://127.0.0.1:8000"
        )
    ssl = parts.scheme == "https"
    return parts.hostname, parts.port or (443 if ssl else 8000), ssl
