"""LangChain's conformance suite, run against MiniLM."""

from __future__ import annotations

from typing import Any

from langchain_tests.unit_tests import EmbeddingsUnitTests

from seedbed.models.embeddings.load import MiniLM
from seedbed.models.weights.ensure import ensure


class TestMiniLM(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[MiniLM]:
        return MiniLM

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"folder": ensure("minilm")}
