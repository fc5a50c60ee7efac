"""Load a cross-encoder, which scores question and passage together.

    reranker = load_reranker("ms-marco-minilm")
    reranker.score("Who wrote it?", ["Alice wrote it.", "It rained."])    # two floats

More accurate than comparing embeddings and slower by orders of magnitude, so callers pass only the
best passages of a search. Off by default: the setting RAG_RERANKER names one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.weights import ensure as weights
from seedbed.models.weights.catalog import find
from seedbed.observe.telemetry import model_call
from seedbed.settings import Settings, load


class Reranker(Protocol):
    """What `load_reranker` returns."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score per text, in the order of the texts; higher means more relevant."""
        ...


def load_reranker(spec: str) -> Reranker:
    """Load a cross-encoder: a name from the catalogue, `hf:ORG/REPO@REVISION` or `path:DIR`.

    A folder with an `openvino_model.xml` runs on OpenVINO (extra `local`), any other with
    sentence-transformers (extra `torch`). Raises ConfigError, MissingExtra or WeightsError.
    """
    model = find(spec, "rerank")
    if model is None and not spec.startswith("path:"):
        raise ConfigError(
            f"Unknown reranker {spec!r}.",
            hint="Use ms-marco-minilm, hf:ORG/REPO@REVISION or path:DIR.",
        )
    if model is not None and model.kind != "rerank":
        raise ConfigError(
            f"{spec!r} is a model for {model.kind}, not for reranking.",
            hint="Use ms-marco-minilm.",
        )
    # Checked before the download, to fail fast: only OpenVINO's own repositories contain files
    # that run without torch.
    if model is not None and not model.repo.lower().startswith("openvino/"):
        MissingExtra.check("sentence_transformers", extra="torch")
    folder = weights.ensure(model or spec, settings=load(Settings))
    if (folder / "openvino_model.xml").exists():
        MissingExtra.check("openvino_genai", extra="local")
        return _OpenVINO(folder, spec)
    MissingExtra.check("sentence_transformers", extra="torch")
    return _SentenceTransformers(folder, spec)


class _OpenVINO:
    def __init__(self, folder: Path, name: str) -> None:
        import openvino_genai

        config = openvino_genai.TextRerankPipeline.Config()
        config.top_n = 1_000_000  # return every score; the caller selects
        self._pipeline = openvino_genai.TextRerankPipeline(str(folder), "CPU", config)
        self._name = name

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        scores = [0.0] * len(texts)
        with model_call(self._name, "rerank"):
            for index, value in self._pipeline.rerank(query, list(texts)) if texts else ():
                scores[index] = float(value)
        return scores


class _SentenceTransformers:
    def __init__(self, folder: Path, name: str) -> None:
        from sentence_transformers import CrossEncoder

        self._model = CrossEncoder(str(folder))
        self._name = name

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        pairs = [(query, text) for text in texts]
        with model_call(self._name, "rerank"):
            return [float(value) for value in self._model.predict(pairs)] if pairs else []
