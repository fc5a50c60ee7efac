"""Load any embedding model by its spec.

    embeddings = load_embeddings()                  # SEEDBED_EMBEDDINGS, by default "minilm"
    embeddings.embed_query("a question")            # list of floats, LangChain's interface
    embeddings.embed_documents(["a text"])          # lists of floats
    embed_texts(embeddings, ["a text", "another"])  # float32 (2, 384)

`minilm`, the default, and `multilingual-e5` run on OpenVINO without torch (`BertEmbeddings`). Other
models use LangChain's integrations.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings

from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.embeddings.bert import BertEmbeddings
from seedbed.models.weights.catalog import Model, Spec, find
from seedbed.models.weights.ensure import ensure
from seedbed.observe.telemetry import model_call
from seedbed.settings import Settings, load

Vectors = npt.NDArray[np.float32]

_loaded: dict[tuple[Path, bool], BertEmbeddings] = {}  # one instance per process
_lock = threading.Lock()


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

    `fast=False` makes `minilm` and `multilingual-e5` compute in float32 instead of int8.
    Raises ConfigError, MissingExtra or WeightsError.
    """
    settings = settings or load(Settings)
    parts = Spec.of(spec or settings.embeddings)
    spec = str(parts)
    if parts.provider == "hash":
        from seedbed.models.embeddings.hash import HashEmbeddings

        return HashEmbeddings(int(parts.name)) if parts.name.isdecimal() else HashEmbeddings()
    model = find(spec, "embedding")
    if model is not None and model.kind != "embedding":
        raise ConfigError(
            f"{spec!r} is a model for {model.kind}, not for embedding.",
            hint="Set SEEDBED_EMBEDDINGS=minilm.",
        )
    if model is not None or parts.provider == "path":
        folder = ensure(model or spec, settings=settings)
        if model is not None and model.files:
            return _bert(folder, model, fast)
        name = f"hf:{model.repo}@{folder.name}" if model else spec
        return _WithTelemetry(_sentence_transformer(folder), name)
    if not parts.provider:
        raise ConfigError(
            f"Unknown embedding model {spec!r}.",
            hint="Use minilm, multilingual-e5, hf:ORG/REPO@REVISION, path:DIR or openai:MODEL.",
        )
    return _WithTelemetry(_remote(parts, settings), spec)


def _bert(folder: Path, model: Model, fast: bool) -> BertEmbeddings:
    with _lock:  # `lru_cache` would load it once in each of two threads
        if (folder, fast) not in _loaded:
            _loaded[folder, fast] = BertEmbeddings(folder, model, fast=fast)
        return _loaded[folder, fast]


def close_embeddings() -> None:
    """Forget the loaded models, which frees their memory once callers do, too."""
    with _lock:
        _loaded.clear()


def _sentence_transformer(folder: Path) -> Embeddings:
    try:
        from langchain_huggingface import HuggingFaceEmbeddings

        embeddings: Embeddings = HuggingFaceEmbeddings(
            model_name=str(folder), encode_kwargs={"normalize_embeddings": True}
        )
    except ImportError as error:
        raise MissingExtra(error.name or "sentence-transformers", "torch") from error
    return embeddings


def _remote(spec: Spec, settings: Settings) -> Embeddings:
    try:
        from langchain.embeddings import init_embeddings
    except ImportError:
        raise MissingExtra("langchain", "remote") from None

    from seedbed.models.remote.providers import azure_identity, cannot_load

    options: dict[str, Any] = {}
    url = settings.embeddings_url or (settings.base_url if spec.provider == "openai" else None)
    key = settings.embeddings_key.get_secret_value()
    if spec.provider in ("openai", "azure_openai"):
        options["timeout"] = settings.model_timeout  # of each attempt; the client retries twice
        # Texts, not token ids: OpenAI's tokenizer is a download, and other servers lack it.
        options["check_embedding_ctx_length"] = False
    if spec.provider == "azure_openai":
        options |= azure_identity()
    if url:
        options["base_url"] = url
        if (
            spec.provider == "openai"
        ):  # your own server may need no key, but the client requires one
            key = key or os.environ.get("OPENAI_API_KEY") or "none"
    if key:
        options["api_key"] = key
    if spec.provider == "mistralai":
        options["tokenizer"] = _byte_tokenizer()  # otherwise it downloads one, to count tokens
    try:
        return init_embeddings(spec.name, provider=spec.provider, **options)
    except ImportError as error:
        raise MissingExtra.named_in(error) from None
    except Exception as error:  # each vendor's client has its own exceptions
        raise cannot_load(spec, error) from error


def _byte_tokenizer() -> Any:
    """Counts bytes, which are at least as many as tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


class _WithTelemetry(Embeddings):
    """Another library's embeddings with telemetry, and with our errors for those of its client."""

    def __init__(self, inner: Embeddings, name: str) -> None:
        self.inner, self.name = inner, name

    @contextmanager
    def _call(self) -> Iterator[None]:
        with model_call(self.name, "embeddings"):
            try:
                yield
            except Exception as error:
                spec = Spec.of(self.name)
                if spec.is_local:
                    raise
                from seedbed.models.remote.failures import translate

                raise translate(error, spec, self.inner) from error

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        with self._call():
            return self.inner.embed_documents(texts)

    def embed_query(self, text: str) -> list[float]:
        with self._call():
            return self.inner.embed_query(text)


def embed_texts(embeddings: Any, texts: Sequence[str], *, queries: int = 0) -> Vectors:
    """float32 (n, dimension), each row of length 1, from any LangChain embeddings.

    The first `queries` texts are questions, which some models embed differently from passages.
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
