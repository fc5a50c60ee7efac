"""The vectors of all chunks: what the store needs of a vector store, and Chroma, the default one.

    index = open_index(Config(), load_embeddings())
    index.query("seedbed-1", vector, k=10)     # [(chunk id, cosine), …]

What is written, and when, is decided in `store`.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rag_chatbot.config import Config
from seedbed.errors import SeedbedError, Unavailable

log = logging.getLogger(__name__)


def open_index(config: Config, embeddings: Any) -> VectorIndex:
    """The index of a store. Return a class of your own here."""
    model = getattr(embeddings, "name", "") or getattr(embeddings, "model", "")
    folder = Path(config.data_dir) / "chroma"
    return ChromaIndex(folder, config.chroma_url, model or type(embeddings).__name__)


class VectorIndex(Protocol):
    """(chunk id, vector) pairs by collection, which several processes may share.

    A class of your own inherits from it and defines the first four methods. Vectors are float32
    (dimension,) of length 1. One process at a time calls `upsert`, `delete` or `repair`. Failures
    are raised as Unavailable.
    """

    def upsert(self, name: str, vectors: Mapping[int, np.ndarray]) -> None:
        """Add or replace at most 1000 vectors, by chunk id."""

    def delete(self, name: str, ids: Sequence[int] | None = None) -> None:
        """Delete entries, by default the whole collection; ids without an entry are ignored."""

    def query(self, name: str, vector: np.ndarray, k: int) -> list[tuple[int, float]]:
        """(chunk id, cosine) of the `k` nearest entries, best first."""

    def ids(self, name: str) -> set[int]:
        """The ids of all entries."""

    def vectors(self, _name: str, _ids: Sequence[int]) -> dict[int, np.ndarray]:
        """The vectors of those entries; the store computes the missing ones from the texts."""
        return {}

    def repair(self) -> None:
        """Make a damaged index usable, even if it is empty then; called after a failure."""

    def close(self) -> None:
        """Close what is open."""


HNSW = {"space": "cosine", "ef_search": 200}  # so a distance is 1 - cosine


class ChromaIndex(VectorIndex):
    """Chroma, embedded in a folder or as a server. Each embedding model has its own vectors.

    An embedded Chroma does not see what another process wrote until it is reopened.
    """

    def __init__(self, folder: Path, url: str | None, model: str) -> None:
        self.folder = folder
        self.url = url
        self._suffix = hashlib.sha256(model.encode()).hexdigest()[:8]
        self._version = b""  # changed by every write; the last one that this process has seen
        self._client: Any = None
        self._collections: dict[str, Any] = {}
        self._lock = threading.RLock()

    def upsert(self, name: str, vectors: Mapping[int, np.ndarray]) -> None:
        if vectors:
            with self._translated(writes=True):
                self._collection(name).upsert(
                    ids=[str(i) for i in vectors], embeddings=np.stack(list(vectors.values()))
                )

    def delete(self, name: str, ids: Sequence[int] | None = None) -> None:
        with self._translated(writes=True):
            if ids is None:  # with the vectors of all embedding models
                client = self._open()
                for collection in client.list_collections():
                    if collection.name.startswith(name):
                        client.delete_collection(collection.name)
                self._collections.clear()
                return
            for at in range(0, len(ids), 1000):
                self._collection(name).delete(ids=[str(i) for i in ids[at : at + 1000]])

    def query(self, name: str, vector: np.ndarray, k: int) -> list[tuple[int, float]]:
        with self._translated():
            result = self._collection(name).query(
                query_embeddings=vector.reshape(1, -1), n_results=k, include=["distances"]
            )
        pairs = zip(result["ids"][0], result["distances"][0], strict=True)
        return [(int(i), 1.0 - float(distance)) for i, distance in pairs]

    def ids(self, name: str) -> set[int]:
        with self._translated():
            return set(map(int, self._collection(name).get(include=[])["ids"]))

    def vectors(self, name: str, ids: Sequence[int]) -> dict[int, np.ndarray]:
        with self._translated():
            result = self._collection(name).get([str(i) for i in ids], include=["embeddings"])
        arrays = np.asarray(result["embeddings"], dtype=np.float32)
        return dict(zip(map(int, result["ids"]), arrays, strict=True))

    def repair(self) -> None:
        """Delete an embedded index, to be filled again."""
        if not self.url:
            from chromadb.api.shared_system_client import SharedSystemClient

            log.warning("The vector index is damaged, and is built again.")
            self.close()
            SharedSystemClient.clear_system_cache()  # of a client that failed to start
            shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Close the client; the next call opens it again and reads what is on disk then."""
        with self._lock:
            client, self._client = self._client, None
            self._collections.clear()
            if client is not None:
                with suppress(Exception):
                    client.close()

    def _collection(self, name: str) -> Any:
        with self._lock:
            client = self._open()
            if name not in self._collections:
                self._collections[name] = client.get_or_create_collection(
                    f"{name}-{self._suffix}", embedding_function=None, configuration={"hnsw": HNSW}
                )
            return self._collections[name]

    def _open(self) -> Any:
        with self._lock:
            file = self.folder / "version"
            version = file.read_bytes() if file.is_file() else b""
            if version != self._version:
                self.close()
                self._version = version
            if self._client is None:
                import chromadb
                from chromadb.config import Settings

                settings = Settings(anonymized_telemetry=False)
                if self.url:
                    self._client = chromadb.HttpClient(self.url, settings=settings)
                else:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    self._client = chromadb.PersistentClient(str(self.folder), settings=settings)
            return self._client

    @contextmanager
    def _translated(self, writes: bool = False) -> Iterator[None]:
        try:
            yield
            if writes and not self.url:  # so that other processes reopen it
                with self._lock:
                    self._version = uuid.uuid4().bytes
                    (self.folder / "version").write_bytes(self._version)
        except SeedbedError:
            raise
        except BaseException as error:  # Chroma's Rust core panics with a BaseException
            if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
            self.close()
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            place = f"vector index in {str(self.folder)!r}"
            hint = "Free some space if the disk is full. The next question or ingest completes the"
            hint += " index from the stored documents."
            if self.url:
                place = f"Chroma server at {self.url}"
                hint = "Start it (chroma run) or unset SEEDBED_CHROMA_URL."
            raise Unavailable(f"The {place} is not available ({reason}).", hint=hint) from None
