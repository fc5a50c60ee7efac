"""Cross-encoders: which specs load, and their scores."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from rag_chatbot.search.rerank import load_reranker
from seedbed.errors import ConfigError
from seedbed.models.weights.catalog import MODELS

pytestmark = pytest.mark.timeout(240)  # loading torch is slow on a busy machine


def test_load_reranker_rejects_other_models() -> None:
    with pytest.raises(ConfigError, match="'minilm' is a model for embedding, not for reranking"):
        load_reranker("minilm")
    with pytest.raises(ConfigError, match="Unknown reranker 'nonsense'"):
        load_reranker("nonsense")


@pytest.mark.slow
def test_score_returns_scores_in_the_order_of_the_texts(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("sentence_transformers")
    config = transformers.BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_labels=1
    )
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    entry = MODELS["minilm"]
    source = Path(str(metadata.distribution(entry.package).locate_file(entry.files[0].path))).parent
    transformers.AutoTokenizer.from_pretrained(str(source)).save_pretrained(tmp_path)
    reranker = load_reranker(f"path:{tmp_path}")
    both = reranker.score("question", ["one text", "another, longer text"])
    assert reranker.score("question", []) == [] and len(both) == 2
    labels = {"model": f"path:{tmp_path}", "operation": "rerank"}
    assert REGISTRY.get_sample_value("seedbed_model_requests_total", labels) == 2
    assert both[1] == pytest.approx(reranker.score("question", ["another, longer text"])[0], 1e-4)
