"""Load any embedding model by its spec.

    embeddings = load_embeddings()                  # SEEDBED_EMBEDDINGS, by default "minilm"
    embeddings.embed(["a text", "another"])         # float32 (2, 384); `MiniLM` only
    embeddings.embed_documents(["a text"])          # lists of floats, LangChain's interface

`MiniLM`, the default, runs on OpenVINO without torch. Other models use LangChain's integrations.
Splitting texts and storing vectors is left to the projects.
"""

from __future__ import annotations

import logging
import os
import queue
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.weights import ensure as weights
from seedbed.models.weights.catalog import find
from seedbed.observe.telemetry import model_call
from seedbed.safety.secrets import reason
from seedbed.settings import Settings, load

log = logging.getLogger(__name__)
Vectors = npt.NDArray[np.float32]

_BATCH = 16  # texts; larger batches are not faster and need more memory
_WINDOW = 4096  # texts that are tokenised and sorted by length together
_MAX_CHARS = 16_384  # far more than 256 tokens, so that a huge text need not be tokenised whole


def load_embeddings(
    spec: str | None = None, *, settings: Settings | None = None, fast: bool = True
) -> Embeddings:
    """Load the embedding model of a spec (default: SEEDBED_EMBEDDINGS).

    A spec is one of:

        minilm                  one instance per process
        hash: or hash:64        deterministic vectors for tests, of 384 or 64 numbers
        hf:ORG/REPO@REVISION    sentence-transformers (extra `torch`)
        path:DIR                the same, from a folder
        openai:MODEL            OpenAI's API, or the server at SEEDBED_BASE_URL
        PROVIDER:MODEL          other integrations of `langchain.embeddings.init_embeddings`

    `fast=False` computes MiniLM in float32 instead of int8. Raises ConfigError, MissingExtra or
    WeightsError.

    >>> len(load_embeddings("hash:64").embed_query("hello"))
    64
    """
    settings = settings or load(Settings)
    spec = spec or settings.embeddings
    scheme, separator, rest = spec.partition(":")
    if scheme == "hash":
        from seedbed.models.embeddings.hash import HashEmbeddings

        return HashEmbeddings(int(rest)) if rest.isdecimal() else HashEmbeddings()
    model = find(spec, "embedding")
    if model is not None and model.kind != "embedding":
        raise ConfigError(
            f"{spec!r} is a model for {model.kind}, not for embedding.",
            hint="Set SEEDBED_EMBEDDINGS=minilm.",
        )
    if model is not None or scheme == "path":
        folder = weights.ensure(model or spec, settings=settings)
        if (folder / "fast.xml").exists():
            return _minilm(folder, fast)
        name = f"hf:{model.repo}@{folder.name}" if model else spec
        return _WithTelemetry(_sentence_transformer(folder), name)
    if not separator:
        raise ConfigError(
            f"Unknown embedding model {spec!r}.",
            hint="Use minilm, bge-small, hf:ORG/REPO@REVISION, path:DIR or openai:MODEL.",
        )
    return _WithTelemetry(_remote(spec, settings), spec)


@lru_cache
def _minilm(folder: Path, fast: bool) -> MiniLM:
    return MiniLM(folder, fast=fast)


def _sentence_transformer(folder: Path) -> Embeddings:
    try:
        from langchain_huggingface import HuggingFaceEmbeddings

        embeddings: Embeddings = HuggingFaceEmbeddings(
            model_name=str(folder), encode_kwargs={"normalize_embeddings": True}
        )
    except ImportError as error:
        raise MissingExtra(error.name or "sentence-transformers", "torch") from error
    return embeddings


def _remote(spec: str, settings: Settings) -> Embeddings:
    try:
        from langchain.embeddings import init_embeddings
    except ImportError:
        raise MissingExtra("langchain", "remote") from None

    options: dict[str, Any] = {}
    if settings.base_url and spec.startswith("openai:"):
        # Other servers of this protocol accept text, not OpenAI's token ids; many need no key.
        key = os.environ.get("OPENAI_API_KEY") or "none"
        options = {
            "base_url": settings.base_url,
            "api_key": key,
            "check_embedding_ctx_length": False,
        }
    try:
        return init_embeddings(spec, **options)
    except ImportError as error:
        raise MissingExtra.named_in(error) from None
    except Exception as error:  # each vendor's client has its own exceptions
        raise ConfigError(f"Cannot load the model {spec!r}: {reason(error)}") from error


class _WithTelemetry(Embeddings):
    """Adds telemetry to another library's embeddings, and a `name` that identifies the vectors."""

    def __init__(self, inner: Embeddings, name: str) -> None:
        self.inner = inner
        self.name = name

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        with model_call(self.name, "embeddings"):
            return self.inner.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        with model_call(self.name, "embeddings"):
            return self.inner.embed_query(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        with model_call(self.name, "embeddings"):
            return await self.inner.aembed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        with model_call(self.name, "embeddings"):
            return await self.inner.aembed_query(text)


class MiniLM(Embeddings):
    """all-MiniLM-L6-v2 on OpenVINO: L2-normalised float32 vectors of 384 numbers; thread-safe.

    `name` identifies model and precision, as a key for stored vectors. Text after the first 256
    tokens is ignored, as in sentence-transformers.

        model = load_embeddings("minilm")
        a, b = model.embed(["a cat", "a kitten"])
        a @ b    # cosine similarity
    """

    dimension = 384
    max_tokens = 254  # of a text, counted as by `count_tokens`: 256 with the two special ones

    def __init__(self, folder: Path, *, fast: bool = True) -> None:
        from seedbed.models.weights import bert

        self._bert = bert
        self._tokenizer = bert.load_tokenizer(folder / "tokenizer.json")
        self._counter = bert.load_tokenizer(folder / "tokenizer.json", truncate=False)
        self.name = f"{folder.name}-{'int8' if fast else 'f32'}"
        self._start(folder / ("fast.xml" if fast else "full.xml"))
        if fast and not self._reproduces(np.load(folder / "probe.npy")):
            log.warning("int8 arithmetic is inexact on this CPU; embedding in float32 instead.")
            self.name = f"{folder.name}-f32"
            self._start(folder / "full.xml")

    def _start(self, path: Path) -> None:
        import openvino as ov

        compiled = ov.Core().compile_model(
            str(path),
            "CPU",
            {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"},
        )
        self._streams = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._requests: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(self._streams):
            self._requests.put(compiled.create_infer_request())

    def _reproduces(self, vector: Vectors) -> bool:
        """Whether this CPU gets the vector of `bert.PROBE`: without VNNI, int8 may saturate."""
        ids = self._tokenizer.encode(self._bert.PROBE).ids
        return float(self._infer([ids])[0] @ vector) > 0.99

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of n texts as float32 (n, 384), in the order of the texts; n may be 0."""
        vectors = np.empty((len(texts), self.dimension), np.float32)
        tokens = 0
        with model_call("minilm", "embeddings") as call:
            for start in range(0, len(texts), _WINDOW):
                window = texts[start : start + _WINDOW]
                tokens += self._embed_window(window, vectors[start : start + len(window)])
            call.usage(tokens)
        return vectors

    def _embed_window(self, texts: Sequence[str], vectors: Vectors) -> int:
        """Write the texts' vectors into `vectors`; returns the number of tokens."""
        # 1. Tokenise, on all cores.
        starts = [text[:_MAX_CHARS] for text in texts]
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(starts)]
        # 2. Batch texts of similar length, so that little padding is computed. The longest come
        #    first, so that no thread is still busy with one at the end.
        order = np.argsort([-len(text) for text in ids], kind="stable")
        batches = [order[i : i + _BATCH] for i in range(0, len(order), _BATCH)]

        def embed_batch(batch: npt.NDArray[np.intp]) -> None:
            vectors[batch] = self._infer([ids[i] for i in batch])

        # 3. Infer one batch per thread; a single batch, such as a question, needs no pool.
        if len(batches) == 1:
            embed_batch(batches[0])
        else:
            with ThreadPoolExecutor(self._streams) as pool:
                list(pool.map(embed_batch, batches))
        return sum(map(len, ids))

    def _infer(self, ids: list[list[int]]) -> Vectors:
        request = self._requests.get()  # waits while all are in use
        try:
            request.infer(self._bert.as_inputs(ids), share_inputs=True)
            result: Vectors = request.get_output_tensor(0).data.copy()
            return result
        finally:
            self._requests.put(request)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed` as lists of floats."""
        vectors: list[list[float]] = self.embed(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text, which is embedded like a document."""
        return self.embed_documents([text])[0]

    def count_tokens(self, text: str) -> int:
        """Tokens of the whole text, without the two special tokens that the model adds."""
        return self.token_counts([text])[0]

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """`count_tokens` of several texts, on all cores."""
        encodings = self._counter.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encodings]


def embed_texts(embeddings: Any, texts: Sequence[str]) -> Vectors:
    """float32 (n, dimension), each row of length 1, from any LangChain embeddings.

    Uses the method `embed` of ours, which returns arrays, where there is one.
    """
    if hasattr(embeddings, "embed"):
        vectors = embeddings.embed(list(texts))
    else:
        vectors = embeddings.embed_documents(list(texts))
    array = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    return np.ascontiguousarray(array / np.maximum(norms, 1e-12))
