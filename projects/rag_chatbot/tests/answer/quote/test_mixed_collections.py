"""A collection of many kinds of files, with the real embeddings: the shipped `eval/mixed`."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_chatbot.answer.answer import Answer, Answerer
from rag_chatbot.answer.follow_up import Exchange
from rag_chatbot.answer.quote.features import WEIGHTS, model_of
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest
from rag_chatbot.search.retrieve import Retriever
from rag_chatbot.store.store import Store
from seedbed.models.embeddings.load_embeddings import load_embeddings
from seedbed.settings import load

FILES = Path(__file__).parents[3] / "eval/mixed"
FOREIGN = 50
# Question, what the answer contains.
ANSWERED = [
    ("How many people are in the platform team?", "six members"),
    ("How many moons does Jupiter have?", "Jupiter; Moons: 95"),
    ("Wie viele Urlaubstage habe ich im Jahr?", "28 Urlaubstage"),
    ("Wann verfällt der Resturlaub?", "am 31. März des folgenden Jahres"),
    ("停车场怎么收费？", "每小时收费五元"),
    ("When was version 3.1.0 released?", "2025-03-02"),
    ("Which version adds dark mode?", "3.2.0"),
    ("What was the revenue of the North region in May?", "month: May; region: North"),
    ("How many orders did the South have in October?", "orders: 655"),
    ("What does yak shaving mean?", "yak shaving: Any seemingly pointless activity"),
    ("How much water does the pump move?", "four hundred litres of water per hour"),
    ("wich prnter hadles A3?", "The Atlas printer handles A3"),
]
REFUSED = [
    ("What was the revenue of the East region in May?", "I can't find this in these documents."),
    ("Which toner does the Vega printer need?", "I can't find this in these documents."),
    ("Wie hoch ist das Weihnachtsgeld?", "Das finde ich in diesen Dokumenten nicht."),
    ("Combien coûte le parking ?", "Je ne trouve pas cela dans ces documents."),
    ("食堂几点开门？", "在这些文档中找不到相关内容。"),
]
FRIENDLY = ["hi", "thank you", "What can you do?", "How many documents are there?", "你好"]


@pytest.fixture(scope="module")
def embeddings() -> Any:
    return load_embeddings("minilm")


@pytest.fixture(scope="module")
def answerer(tmp_path_factory: pytest.TempPathFactory, embeddings: Any) -> Iterator[Answerer]:
    config = load(Config, data_dir=tmp_path_factory.mktemp("data"))
    store = Store(config, embeddings)
    ingest(store, [FILES])
    yield Answerer(Retriever(store, embeddings, config), None, config)
    store.close()


def cited(answer: Answer) -> list[tuple[str, str]]:
    return [(citation.source, citation.quote) for citation in answer.citations]


@pytest.mark.parametrize(("question", "expected"), ANSWERED)
def test_mixed_collection_answers(answerer: Answerer, question: str, expected: str) -> None:
    assert expected in answerer.ask(question).answer


@pytest.mark.parametrize(("question", "refusal"), REFUSED)
def test_refusal_is_in_the_language_of_the_question(
    answerer: Answerer, question: str, refusal: str
) -> None:
    answer = answerer.ask(question)
    assert answer.abstained
    assert answer.answer == refusal


@pytest.mark.parametrize("question", FRIENDLY)
def test_small_talk_gets_a_reply_with_the_number_of_documents(
    answerer: Answerer, question: str
) -> None:
    answer = answerer.ask(question)
    assert not answer.abstained
    assert str(len(list(FILES.iterdir()))) in answer.answer


def test_row_that_lacks_a_named_value_is_not_quoted(answerer: Answerer) -> None:
    answer = answerer.ask("What was the revenue of the North region in May?")
    assert len(answer.citations) == 1
    assert answer.answer.count("month:") == 1


def test_section_headed_by_the_version_in_question_is_quoted(
    tmp_path: Path, embeddings: Any
) -> None:
    text = (
        "# Changelog\n\n## 1.1.0 (2024-02-01)\n\nAdds login.\n\n## 1.0.0 (2023-09-05)\n\nAll new.\n"
    )
    (tmp_path / "log.md").write_text(text)
    config = load(Config, data_dir=tmp_path / "data")
    store = Store(config, embeddings)
    ingest(store, [tmp_path / "log.md"])
    ask = Answerer(Retriever(store, embeddings, config), None, config).ask
    assert ask("When was version 1.1.0 released?").answer == "1.1.0 (2024-02-01)\n\nAdds login. [1]"
    assert ask("When was version 1.2.0 released?").abstained
    store.close()


def test_versions_of_a_document_are_both_quoted_newest_first(answerer: Answerer) -> None:
    answer = answerer.ask("What is the daily allowance?")
    sources = dict.fromkeys(citation.source for citation in answer.citations)
    assert list(sources) == ["policy_2024.md", "policy_2022.md"]
    assert answer.answer.index("55 euros") < answer.answer.index("40 euros")


def test_question_that_stands_alone_is_not_completed(answerer: Answerer) -> None:
    history = [Exchange("How many pages per minute does the Borealis print?", "45")]
    answer = answerer.ask("May I smoke on the balcony?", history=history)
    assert answer.question == "May I smoke on the balcony?"
    assert "not permitted" in answer.answer


@pytest.mark.parametrize(
    ("earlier", "question", "expected"),
    [
        ("Combien coûte un repas à la cantine ?", "Et pour les invités ?", "9 euros"),
        ("What was the revenue of the North region in May?", "And in March?", "revenue_eur: 57580"),
        ("Who is the designer of the team?", "Where does she work?", "Elif Yilmaz"),
    ],
)
def test_follow_up_is_answered_about_its_topic(
    answerer: Answerer, earlier: str, question: str, expected: str
) -> None:
    assert expected in answerer.ask(question, history=[Exchange(earlier)]).answer


def test_foreign_files_change_neither_answers_nor_citations(
    tmp_path: Path, embeddings: Any, answerer: Answerer
) -> None:
    questions = [question for question, _ in [*ANSWERED, *REFUSED]]
    before = [answerer.ask(question) for question in questions]
    config = load(Config, data_dir=tmp_path / "data")
    store = Store(config, embeddings)
    write_foreign_files(tmp_path / "foreign", random.Random(7))
    ingest(store, [FILES, tmp_path / "foreign"])
    crowded = Answerer(Retriever(store, embeddings, config), None, config)
    for question, alone in zip(questions, before, strict=True):
        answer = crowded.ask(question)
        assert answer.answer == alone.answer
        assert cited(answer) == cited(alone)
    store.close()


def write_foreign_files(folder: Path, rng: random.Random) -> None:
    """Files of six formats about invented things, so that no question is about them."""
    folder.mkdir()
    syllables = (
        "bra cle dro fin gul hes jor kel lum mav nop qui rax sul tev vor wix yal zan".split()
    )

    def word() -> str:
        return "".join(rng.choices(syllables, k=3))

    for n in range(FOREIGN):
        sentences = [f"The {word()} of {word()} {word()}s the {word()}." for _ in range(8)]
        rows = [[word(), str(rng.randrange(1000)), word()] for _ in range(30)]
        name, text = rng.choice(
            [
                ("md", f"# {word()}\n\n" + " ".join(sentences)),
                ("txt", "\n\n".join(sentences)),
                ("html", f"<h1>{word()}</h1><p>{' '.join(sentences)}</p>"),
                ("csv", "\n".join(",".join(row) for row in [["item", "size", "kind"], *rows])),
                (
                    "json",
                    json.dumps([dict(zip(("a", "b", "c"), row, strict=True)) for row in rows]),
                ),
                ("py", "\n\n".join(f"def {a}():\n    return {b}  # {c}" for a, b, c in rows)),
            ]
        )
        (folder / f"foreign{n}.{name}").write_text(text, "utf-8")


def test_weights_depend_on_the_embedding_model(embeddings: Any) -> None:
    assert model_of(embeddings) == "minilm"
    assert model_of(object()) == next(iter(WEIGHTS))
