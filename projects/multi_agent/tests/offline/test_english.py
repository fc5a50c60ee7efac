"""English words, numbers and units."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from multi_agent.offline.english import read_number, stem, tokenize

ENDINGS = ("ies", "iest", "ing", "ed", "er", "ation", "ment", "s")
WORDS = [f"{start}{end}" for start in ("heav", "deliver", "order", "custom") for end in ENDINGS]


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    """Threads take turns every ten microseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("frequent_switches")
def test_threads_that_stem_at_once_do_not_mix_up_words() -> None:
    stems = [stem(word) for word in WORDS]

    def stem_all(_: int) -> list[str]:
        return [stem.__wrapped__(word) for word in WORDS * 5]  # without the cache

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(stem_all, range(4))) == [stems * 5] * 4


def test_contractions_and_possessives_are_words() -> None:
    texts = [token.text for token in tokenize("Anna's visits didn’t end; can't")]
    assert texts == ["anna", "visits", "did", "not", "end", ";", "can", "not"]


@pytest.mark.parametrize(
    ("text", "number", "size"),
    [
        ("1,234.50 euros", 1234.5, 1),
        ("12k", 12000, 1),
        ("seven gears", 7, 1),
        ("twenty-five rows", 25, 2),
        ("two hundred thousand", 200_000, 3),
        ("five six", 5, 1),
    ],
)
def test_number_is_read_in_digits_and_words(text: str, number: float, size: int) -> None:
    assert read_number(tokenize(text)) == (number, size)


def test_word_is_not_a_number() -> None:
    assert read_number(tokenize("second row")) is None
