"""The words of a text as terms."""

from rag_chatbot.read.language import terms


def test_terms_match_across_spellings_without_stop_words() -> None:
    assert set(terms("retrying maxRetries")) & set(terms("max_retry retries"))
    assert terms("the of and") == []
