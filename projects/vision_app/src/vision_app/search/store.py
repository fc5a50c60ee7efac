"""Two collections of Chroma, of image vectors and of text vectors, for several processes.

store = Store(Path("var/vision_app"), url=None, model="efficientnet+minilm")
with store.open(write=True) as (images, texts):
    images.upsert(ids=["a.jpg"], embeddings=vectors)
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import chromadb
from chromadb.api.shared_system_client import SharedSystemClient
from filelock import FileLock, Timeout

from seedbed.errors import Busy, SeedbedError, Unavailable

# Measured with 100,000 vectors: recall@10 of 1.0 in 4 ms. Chroma writes the graph to disk each
# `sync_threshold` entries, and searches the newest `batch_size` entries one by one.
HNSW = {"space": "cosine", "ef_search": 100, "batch_size": 1000, "sync_threshold": 10_000}


class Store:
    """Chroma in `data_dir/chroma`, or the server at `url`, with the collections of a model."""

    def __init__(self, data_dir: Path, url: str | None, model: str) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._folder, self._url = data_dir / "chroma", url
        self._name = re.sub(r"[^A-Za-z0-9.]+", "-", model)[:200].rstrip("-.")
        self._writes = data_dir / "images.written"  # its time is that of the last write
        self._last_write = 0
        self._client: Any = None
        self._collections: tuple[Any, Any] | None = None
        self._lock = threading.RLock()

    @contextmanager
    def open(self, *, write: bool = False) -> Iterator[tuple[Any, Any]]:
        """The collections of images and of texts; `write` excludes other writers.

        Raises Unavailable if Chroma fails, and Busy if another writer takes more than a minute.
        """
        lock = FileLock(self._folder.with_name("images.lock"), timeout=60)
        try:
            with lock if write else nullcontext(), self._lock:
                last_write = self._writes.stat().st_mtime_ns if self._writes.exists() else 0
                if last_write != self._last_write:
                    self.close()  # an embedded Chroma does not see what other processes wrote
                    self._last_write = last_write
                self._collections = self._collections or self._connect()
                yield self._collections
                if write:
                    self._writes.touch()
                    self._last_write = self._writes.stat().st_mtime_ns
        except Timeout:
            message = "Another process is writing the image index. Try again in a moment."
            raise Busy(message, retry_after=5) from None
        except (SeedbedError, KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # Chroma's Rust core panics with a BaseException
            self.close()
            SharedSystemClient.clear_system_cache()  # of a client that failed to start
            hint = f"Delete {self._folder} and run vision-app index again."
            if self._url:
                hint = f"Start the server at {self._url} (chroma run) or unset SEEDBED_CHROMA_URL."
            reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
            raise Unavailable(f"The image index failed: {reason}.", hint=hint) from None

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        with self._lock, suppress(Exception):
            client, self._client, self._collections = self._client, None, None
            if client is not None:
                client.close()

    def _connect(self) -> tuple[Any, Any]:
        settings = chromadb.Settings(anonymized_telemetry=False)
        if self._url:
            url = urlsplit(self._url)
            address = (url.hostname or "", url.port or 8000, url.scheme == "https")
            self._client = chromadb.HttpClient(*address, settings=settings)
        else:
            self._client = chromadb.PersistentClient(self._folder, settings=settings)
        options = {"embedding_function": None, "configuration": {"hnsw": HNSW}}
        names = f"images-{self._name}", f"texts-{self._name}"
        images, texts = (self._client.get_or_create_collection(n, **options) for n in names)
        return images, texts
