"""Load any embedding model by its spec.

    embeddings = load_embeddings()                  # SEEDBED_EMBEDDINGS, by default "minilm"
    embeddings.embed_query("a question")            # list of floats, LangChain's interface
    embeddings.embed_documents(["a text"])          # lists of floats
    embed_texts(embeddings, ["a text", "another"])  # float32 (2, 384)

`minilm`, the default, and `multilingual-e5` run on OpenVINO without torch (`BertEmbeddings`). Other
models use LangChain's integrations.
Splitting texts and storing vectors is left to the projects.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.embeddings.bert import BertEmbeddings
from seedbed.models.weights import ensure as weights
from seedbed.models.weights.catalog import Model, find, is_local
from seedbed.observe.telemetry import model_call
from seedbed.safety.secrets import reason
from seedbed.settings import Settings, load

Vectors = npt.NDArray[np.float32]


def load_embeddings(
    spec: str | None = None, *, settings: Settings | None = None, fast: bool = True
) -> Embeddings:
    """Load the embedding model of a spec (default: SEEDBED_EMBEDDINGS).

    A spec is one of:

        minilm                  English; one instance per process
        multilingual-e5         a hundred languages (extra `multilingual`); one per process
        hash: or hash:64        deterministic vectors for tests, of 384 or 64 numbers
        hf:ORG/REPO@REVISION    sentence-transformers (extra `torch`)
        path:DIR                the same, from a folder
        openai:MODEL            OpenAI's API, or the server at SEEDBED_BASE_URL
        PROVIDER:MODEL          other integrations of `langchain.embeddings.init_embeddings`

    `fast=False` computes these two in float32 instead of int8. Raises ConfigError, MissingExtra or
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
        if model is not None and model.files:
            return _bert(folder, model, fast)
        name = f"hf:{model.repo}@{folder.name}" if model else spec
        return _WithTelemetry(_sentence_transformer(folder), name)
    if not separator:
        raise ConfigError(
            f"Unknown embedding model {spec!r}.",
            hint="Use minilm, multilingual-e5, hf:ORG/REPO@REVISION, path:DIR or openai:MODEL.",
        )
    return _WithTelemetry(_remote(spec, settings), spec)


@lru_cache
def _bert(folder: Path, model: Model, fast: bool) -> BertEmbeddings:
    return BertEmbeddings(folder, model, fast=fast)


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
    if spec.startswith("openai:"):
        options["timeout"] = settings.model_timeout  # of each attempt; the client retries twice
    if settings.base_url and spec.startswith("openai:"):
        # Other servers of this protocol accept text, not OpenAI's token ids; many need no key.
        key = os.environ.get("OPENAI_API_KEY") or "none"
        options |= {
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
    """Another library's embeddings with telemetry, and with our errors for those of its client.

    `name` identifies the vectors.
    """

    def __init__(self, inner: Embeddings, name: str) -> None:
        self.inner = inner
        self.name = name

    @contextmanager
    def _call(self) -> Iterator[None]:
        with model_call(self.name, "embeddings"):
            try:
                yield
            except Exception as error:
                if is_local(self.name):
                    raise
                from seedbed.models.remote.failures import translate

                raise translate(error, self.name) from error

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        with self._call():
            return self.inner.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        with self._call():
            return self.inner.embed_query(text)


def embed_texts(embeddings: Any, texts: Sequence[str], *, queries: int = 0) -> Vectors:
    """float32 (n, dimension), each row of length 1, from any LangChain embeddings.

    The first `queries` texts are questions, which some models embed differently from passages.

    >>> embed_texts(load_embeddings("hash:64"), ["What is it?", "It is a tool."], queries=1).shape
    (2, 64)
    """
    if isinstance(embeddings, BertEmbeddings):
        vectors: Any = embeddings.embed(texts, queries=queries)
    elif hasattr(embeddings, "embed"):  # HashEmbeddings, which has one kind of text
        vectors = embeddings.embed(list(texts))
    else:
        by_query = {text: embeddings.embed_query(text) for text in set(texts[:queries])}
        vectors = [by_query[text] for text in texts[:queries]]
        if rest := list(texts[queries:]):
            vectors += embeddings.embed_documents(rest)
    array = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    return np.ascontiguousarray(array / np.maximum(norms, 1e-12))
