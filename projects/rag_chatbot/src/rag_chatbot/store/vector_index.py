"""The vectors of all chunks, in Chroma: embedded in a folder, or as a server.

    index = VectorIndex(embeddings, Path("var/rag_chatbot/chroma"))
    index.query("seedbed-1", vector, k=10)     # [(chunk id, cosine), …]

An embedded Chroma does not see what another process wrote until it is reopened. What is written,
and when, is decided in `store`.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from seedbed.errors import SeedbedError, Unavailable

# The space is cosine, so a distance is 1 - cosine.
HNSW = {"space": "cosine", "ef_search": 200}


class VectorIndex:
    """(chunk id, vector) pairs by collection. Any failure of Chroma is raised as Unavailable.

    The vectors of each embedding model are apart: after a change of the model none is found.
    """

    def __init__(self, embeddings: Any, folder: Path, url: str | None = None) -> None:
        model = getattr(embeddings, "name", "") or getattr(embeddings, "model", "")
        name = str(model or type(embeddings).__name__)
        self._suffix = hashlib.sha256(name.encode()).hexdigest()[:8]
        self.folder = folder
        self.url = url
        self.generation = 0  # that every write raises; the last one that this process has seen
        self._client: Any = None
        self._collections: dict[str, Any] = {}
        self._lock = threading.RLock()

    def upsert(self, name: str, vectors: Mapping[int, np.ndarray]) -> None:
        """Add or replace at most 1000 vectors, each float32 (dimension,), by chunk id."""
        if vectors:
            with self._translated():
                self._collection(name).upsert(
                    ids=[str(i) for i in vectors], embeddings=np.stack(list(vectors.values()))
                )

    def delete(self, name: str, ids: Sequence[int]) -> None:
        """Delete entries; ids without an entry are ignored."""
        with self._translated():
            collection = self._collection(name)
            for at in range(0, len(ids), 1000):
                collection.delete(ids=[str(i) for i in ids[at : at + 1000]])

    def drop(self, name: str) -> None:
        """Delete a collection, with the vectors of all embedding models."""
        with self._translated():
            client = self._open()
            for collection in client.list_collections():
                if collection.name.startswith(name):
                    client.delete_collection(collection.name)
            self._collections.clear()

    def query(self, name: str, vector: np.ndarray, k: int) -> list[tuple[int, float]]:
        """(chunk id, cosine) of the `k` nearest entries, best first. vector: (dimension,)."""
        with self._translated():
            result = self._collection(name).query(
                query_embeddings=vector.reshape(1, -1), n_results=k, include=["distances"]
            )
        pairs = zip(result["ids"][0], result["distances"][0], strict=True)
        return [(int(i), 1.0 - float(distance)) for i, distance in pairs]

    def ids(self, name: str) -> set[int]:
        """The ids of all entries."""
        with self._translated():
            return set(map(int, self._collection(name).get(include=[])["ids"]))

    def vectors(self, name: str, ids: Sequence[int]) -> dict[int, np.ndarray]:
        """The vectors of those chunks that have an entry."""
        with self._translated():
            result = self._collection(name).get([str(i) for i in ids], include=["embeddings"])
        arrays = np.asarray(result["embeddings"], dtype=np.float32)
        return dict(zip(map(int, result["ids"]), arrays, strict=True))

    def close(self) -> None:
        """Close the client; the next call opens it again and reads what is on disk then."""
        with self._lock:
            client, self._client = self._client, None
            self._collections.clear()
            if client is not None:
                with suppress(Exception):
                    client.close()

    def reopen_if_changed(self, generation: int) -> None:
        """Reopen an embedded index if another process has changed it."""
        if generation != self.generation and not self.url:
            self.close()
        self.generation = generation

    def reset(self) -> None:
        """Delete an embedded index, to be rebuilt from the documents."""
        from chromadb.api.shared_system_client import SharedSystemClient

        self.close()
        SharedSystemClient.clear_system_cache()  # of a client that failed to start
        if self.folder.is_file():
            self.folder.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _collection(self, name: str) -> Any:
        with self._lock:
            if name not in self._collections:
                self._collections[name] = self._open().get_or_create_collection(
                    f"{name}-{self._suffix}", embedding_function=None, configuration={"hnsw": HNSW}
                )
            return self._collections[name]

    def _open(self) -> Any:
        with self._lock:
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
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except SeedbedError:
            raise
        except BaseException as error:  # Chroma's Rust core panics with a BaseException
            if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
            self.close()
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            if self.url:
                raise Unavailable(
                    f"The Chroma server at {self.url} is not available ({reason}).",
                    hint="Start it (chroma run) or unset SEEDBED_CHROMA_URL, an address such as"
                    " http://127.0.0.1:8000.",
                ) from None
            raise Unavailable(
                f"The vector index in {str(self.folder)!r} failed ({reason}).",
                hint="Free some space if the disk is full. The documents are stored; the next"
                " question or ingest completes the index.",
            ) from None
