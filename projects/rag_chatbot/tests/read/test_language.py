"""Where sentences end, the words of a text as terms, and the language that they tell."""

import pytest

from rag_chatbot.read.language import language_of, sentence_spans, terms


def test_terms_match_across_spellings_without_stop_words() -> None:
    assert language_of("4711 2032", "fr") == "fr"
    assert set(terms("retrying maxRetries")) & set(terms("max_retry retries"))
    assert terms("the of and") == []


@pytest.mark.parametrize(
    ("language", "question", "passage"),
    [
        ("de", "Welche Maschinen gibt es?", "eine Maschine"),
        ("fr", "Quelles sont les machines ?", "une machine"),
        ("ru", "Какие принтеры есть?", "новый принтер"),
        ("zh", "停车场怎么收费？", "停车场每小时收费五元。"),
        ("en", "Which machines are there?", "a machine"),
    ],
)
def test_terms_of_a_language_match_across_word_forms(
    language: str, question: str, passage: str
) -> None:
    assert language_of(question) == language
    assert set(terms(question, language)) & set(terms(passage, language))


@pytest.mark.parametrize(
    "parts",
    [
        ["Use e.g. Chroma 1.5.", "It works (really).", "Dr. Who agrees!", "Is that so?", "yes."],
        ["A local model costs 0.", "Others cost more."],
        ["See No. 5, by J. Smith, U.S. Army."],
        ['"And on Windows?" finds nothing.', "Wait… what?"],
        ["1. Install it.", "Then run it."],
        ["一つ。", "二つ！"],
        ["Der Urlaub verfällt am 31. März des Jahres.", "Danach ist er weg."],
        ["The limit is 31.", "March is another month."],
        ["Options:\n", "- fast\n", "- safe\n\n", "No stop"],
    ],
)
def test_sentences_end_at_stops_items_and_empty_lines(parts: list[str]) -> None:
    text = " ".join(parts)
    spans = sentence_spans(text)
    assert [text[start:end] for start, end in spans] == [part.strip() for part in parts]
