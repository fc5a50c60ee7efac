"""multilingual-e5: questions and passages, limits, memory, and retrieval in six languages."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seedbed.errors import WeightsError
from seedbed.models.embeddings.bert import BertEmbeddings
from seedbed.models.embeddings.load_embeddings import embed_texts, load_embeddings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]  # the first test may convert the weights
PAIRS = Path(__file__).with_name("multilingual.jsonl")


@pytest.fixture(scope="module")
def model() -> BertEmbeddings:
    try:
        model = load_embeddings("multilingual-e5")
    except WeightsError as error:
        pytest.skip(str(error))
    assert isinstance(model, BertEmbeddings)
    return model


def test_question_and_passage_have_different_vectors(model: BertEmbeddings) -> None:
    question, passage = model.embed_query("a harbour"), model.embed_documents(["a harbour"])[0]
    assert 0.5 < np.dot(question, passage) < 0.99
    both = embed_texts(model, ["a harbour", "a harbour"], queries=1)
    assert (both * [question, passage]).sum(axis=1).min() > 0.999


def test_max_tokens_leaves_room_for_the_prefix(model: BertEmbeddings) -> None:
    assert model.max_tokens == 512 - len(["<s>", "▁passage", ":", "</s>"])
    longest = "Wort " * (model.max_tokens - 1) + "Wort"
    assert model.count_tokens(longest) == model.max_tokens
    more = model.embed([longest + " Zebra" * 5000])
    assert np.allclose(model.embed([longest]), more, atol=1e-6)
    shorter = "Wort " * (model.max_tokens - 1)
    assert not np.allclose(model.embed([longest]), model.embed([shorter + "Zebra"]), atol=1e-3)


def test_questions_find_their_passage_in_six_languages(model: BertEmbeddings) -> None:
    pairs = [json.loads(line) for line in PAIRS.read_text("utf-8").splitlines()]
    minilm = load_embeddings("minilm")
    for questions, least in (("question", 0.85), ("english", 0.7)):
        recalls = []
        for embeddings in (model, minilm):
            passages = embed_texts(embeddings, [pair["passage"] for pair in pairs])
            asked = [pair[questions] for pair in pairs]
            best = (embed_texts(embeddings, asked, queries=len(pairs)) @ passages.T).argmax(axis=1)
            recalls.append(float((best == np.arange(len(pairs))).mean()))
        assert recalls[0] >= least and recalls[0] > recalls[1] + 0.3, (questions, recalls)
