from multi_agent.offline.quotes.words import content


def test_content_has_digits_for_numbers_and_no_empty_words() -> None:
    assert content("the twenty-one dogs") == content("21 dog")
    assert content("What is it for?") == frozenset()
