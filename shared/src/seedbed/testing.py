"""Stand-ins and helpers that tests inject; shipped, so that every project can use them.

None of it needs weights or a network.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from langchain_core.embeddings import Embeddings

from seedbed.scripted import Call, ScriptedChatModel, ScriptError

__all__ = [
    "Call",
    "HashEmbeddings",
    "ScriptError",
    "ScriptedChatModel",
    "free_port",
    "run_server",
]


class HashEmbeddings(Embeddings):
    """A bag of hashed word stems: texts that share words are near. float32, L2-normalised."""

    def __init__(self, dimension: int = 384) -> None:
        self.dimension = dimension
        self.name = f"hash-{dimension}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """(n, dimension) for n texts; a text without words becomes one fixed unit vector."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                digest = hashlib.blake2b(_stem(word).encode(), digest_size=8).digest()
                number = int.from_bytes(digest, "big")
                vector[number % self.dimension] += 1.0 if number >> 63 else -1.0
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors[norms[:, 0] == 0, 0] = 1.0  # two words may cancel out
        return vectors / np.where(norms == 0, 1.0, norms)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(x) for x in vector] for vector in self.embed(texts)]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def _stem(word: str) -> str:
    stem = re.sub(r"(ations?|ing|ed|ly|ies|es|s|y|e)$", "", word)
    return stem if len(stem) >= 3 else word


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def run_server(
    argv: Sequence[str],
    port: int,
    path: str = "/healthz",
    timeout: float = 30.0,
    *,
    env: dict[str, str] | None = None,
    cwd: str | Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `argv`, wait until it answers `path` on `port` with 200, stop it with SIGTERM after.

    `env` is added to this process's. RuntimeError, with what it printed, when it ends early;
    TimeoutError when it does not answer within `timeout` seconds.
    """
    import tempfile

    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            list(argv), stdout=output, stderr=output, cwd=cwd, env={**os.environ, **(env or {})}
        )
        try:
            _wait_until_up(process, f"http://127.0.0.1:{port}{path}", timeout, output)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(
    process: subprocess.Popen[bytes], url: str, timeout: float, output: IO[bytes]
) -> None:
    def printed() -> str:
        output.seek(0)
        return output.read().decode(errors="replace")[-4000:]

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"The server ended with {process.returncode}:\n{printed()}")
        try:
            with opener.open(url, timeout=2) as response:
                if response.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.05)
    raise TimeoutError(f"{url} did not answer within {timeout} s:\n{printed()}")
