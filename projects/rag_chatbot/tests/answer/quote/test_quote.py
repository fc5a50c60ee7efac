"""The choice among the spans of retrieved chunks, and the confidence in it."""

import random
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from rag_chatbot.answer.evidence import Draft, sentences
from rag_chatbot.answer.quote.quote import WEIGHTS, candidates, displayed, features, quote
from rag_chatbot.chatbot import Chatbot
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest_uploads
from rag_chatbot.search.retrieve import Hit
from rag_chatbot.store.store import Chunk
from rag_chatbot.talk.api import create_app
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.load import load_chat_model
from seedbed.models.weights.catalog import MODELS
from seedbed.settings import Settings


def hit(text: str, number: int = 1, kind: str = "markdown", heading: str = "") -> Hit:
    chunk = Chunk(number, number, f"{number}.md", 0, text, heading, None, 0, len(text), "", kind)
    return Hit(chunk, 1.0, 1.0, 1.0)


def draft(question: str, *hits: Hit, strictness: float = 0.0) -> Draft:
    pieces = quote(question, hits, HashEmbeddings(), question, strictness)
    text = ""
    while True:
        try:
            text += next(pieces)
        except StopIteration as end:
            assert isinstance(end.value, Draft) and end.value.text == text
            return end.value


def quotes(question: str, *hits: Hit) -> list[str]:
    return [span.quote for span in draft(question, *hits).cited]


def test_neighbouring_sentences_are_one_quote() -> None:
    text = "The cache holds pages. The cache drops pages after an hour."
    assert quotes("When does the cache drop pages?", hit(text)) == [text]


def test_what_the_best_sentence_announces_is_quoted() -> None:
    text = "The cache drops pages in these cases:\n\n- an hour has passed\n- the disk is full\n"
    (only,) = quotes("When does the cache drop pages?", hit(text))
    assert only.endswith("the disk is full")


def test_other_rows_than_the_named_one_are_not_quoted() -> None:
    table = "| Drug | Dose |\n|---|---|\n| Alphazol | 5 mg |\n| Betazol | 20 mg |\n"
    assert (
        draft("What is the dose of Betazol?", hit(table)).text == "Drug: Betazol; Dose: 20 mg [1]"
    )


def test_confidence_is_low_without_the_words_of_the_question() -> None:
    hits = hit("A request is retried 3 times after a timeout.")
    assert not draft("Who wrote Faust?", hits, strictness=0.5).text
    assert draft("How often is a request retried after a timeout?", hits, strictness=0.5).text


@pytest.mark.parametrize(
    ("present", "missing"), [("--slow", "--fast"), ("1.1.0", "1.2.0"), ("E40", "E41")]
)
def test_a_name_that_the_chunk_lacks_lowers_the_confidence(present: str, missing: str) -> None:
    hits = [hit(f"The zeta machine with {present} is slow.")]
    spans, texts = candidates(hits)
    for name, expected in ((present, 1), (missing, -1)):
        question = f"Is the zeta machine slow with {name}?"
        rows, _ = features(question, hits, spans, texts, HashEmbeddings())
        assert rows[0, -1] == expected


def test_features_do_not_depend_on_other_chunks() -> None:
    question = "How often is a request retried after a timeout?"
    alone = [hit("A request is retried 3 times after a timeout.")]
    crowded = [*alone, *(hit(f"Kitten {n} plays outside.", n) for n in range(2, 9))]
    rows = [
        features(question, hits, *candidates(hits), HashEmbeddings())[0][0]
        for hits in (alone, crowded)
    ]
    assert np.allclose(*rows, atol=1e-4)


def shown(text: str, kind: str, heading: str = "") -> list[str]:
    return [displayed(span) for span in sentences(hit(text, kind=kind, heading=heading).chunk)]


def test_displayed_row_names_its_columns() -> None:
    table = "| Name | Size |\n|---|---|\n| int | 4 bytes |\n| text | |"
    assert shown(table, "html") == ["Name: int; Size: 4 bytes", "Name: text"]
    rest = "| int | 4 bytes |"
    assert shown(rest, "html", "Types › Name · Size") == ["Name: int; Size: 4 bytes"]
    assert shown(rest, "html", "Types") == ["int; 4 bytes"]
    assert shown('product,price\n"lamp, red",49\n', "csv") == ["product: lamp, red; price: 49"]


def test_a_heading_is_not_quoted() -> None:
    chunk = replace(hit("# Pumps\n\nDescale it.").chunk, title="Pumps")
    assert [span.quote for span in candidates([Hit(chunk, 1.0, 1.0, None)])[0]] == ["Descale it."]


def ask(config: Config, embeddings: Any, text: str, *questions: str) -> list[dict[str, Any]]:
    """The answers over HTTP from one Markdown document."""
    settings = config.model_copy(update={"mode": "quote", "strictness": 0.0})
    chatbot = Chatbot(settings, embeddings, load_chat_model)
    with TestClient(create_app(chatbot, Settings(api_keys=""))) as client:
        ingest_uploads(chatbot.store, [("a.md", text.encode())])
        return [client.post("/v1/ask", json={"question": text}).json() for text in questions]


@pytest.mark.parametrize("seed", range(4))
def test_quotes_are_whole_sentences_rows_and_items_however_long(config: Config, seed: int) -> None:
    generator, texts = random.Random(seed), []
    for n in range(12):
        words = generator.choices("harbour tide keel sail mast anchor buoy".split(), k=300)
        words = [f"Begin{n}", *words[: generator.choice((6, 40, 300))], f"end{n}."]
        if n % 3:
            lines = "\n  ".join(" ".join(words[at : at + 9]) for at in range(0, len(words), 9))
            texts.append(f"{'- ' * (n % 3 == 1)}{lines}\n")
        else:
            texts.append(f"| Name | Size |\n|---|---|\n| {' '.join(words)} | 9 |\n")
    questions = [f"What is the {word} of end{n}?" for n in range(12) for word in ("keel", "tide")]
    answers = ask(config, HashEmbeddings(), "\n".join(texts), *questions)
    quotes = [citation["quote"] for answer in answers for citation in answer["citations"]]
    assert quotes
    for text in quotes:
        assert re.fullmatch(r"(?s)(?:- |\| )?Begin\d+ .*end\d+\.(?: \| 9 \|)?", text), text


def test_embeddings_without_a_fitted_scale_quote_nothing_and_say_so(config: Config) -> None:
    embeddings = HashEmbeddings()
    embeddings.name = "hf:some/model"
    del embeddings.scale
    (answer,) = ask(config, embeddings, "The tide turns at six.", "When does the tide turn?")
    assert answer["abstained"] and not answer["citations"]
    assert "not calibrated for the embeddings hf:some/model" in answer["answer"]


def test_every_embedding_model_of_the_catalogue_has_weights_and_a_scale() -> None:
    names = [name for name, model in MODELS.items() if model.kind == "embedding"]
    assert all(name in WEIGHTS and MODELS[name].scale for name in names)
