"""The words of a text as terms, and the language that they tell."""

import pytest

from rag_chatbot.read.language import language_of, sentence_spans, terms


def test_terms_match_across_spellings_without_stop_words() -> None:
    assert set(terms("retrying maxRetries")) & set(terms("max_retry retries"))
    assert terms("the of and") == []


@pytest.mark.parametrize(
    ("language", "question", "passage"),
    [
        ("de", "Welche Maschinen gibt es?", "eine Maschine"),
        ("fr", "Quelles sont les machines ?", "une machine"),
        ("es", "¿Qué máquinas hay?", "la máquina"),
        ("it", "Quali macchine ci sono?", "la macchina"),
        ("nl", "Welke machines zijn er?", "de machine"),
        ("pt", "Quais são as máquinas?", "a máquina"),
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


def test_language_of_a_text_without_stop_words_is_the_default() -> None:
    assert language_of("4711 2032", "fr") == "fr"


def test_german_ordinal_does_not_end_a_sentence() -> None:
    german = "Der Urlaub verfällt am 31. März des Jahres. Danach ist er weg."
    english = "The limit is 31. March is another month."
    assert [len(list(sentence_spans(text))) for text in (german, english)] == [2, 2]
