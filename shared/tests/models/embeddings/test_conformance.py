"""LangChain's conformance suite, run against MiniLM."""

from __future__ import annotations

from typing import Any

from langchain_tests.unit_tests import EmbeddingsUnitTests

from seedbed.models.embeddings.bert import BertEmbeddings
from seedbed.models.weights.catalog import MODELS
from seedbed.models.weights.ensure import ensure


class TestMiniLM(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[BertEmbeddings]:
        return BertEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"folder": ensure("minilm"), "model": MODELS["minilm"]}
