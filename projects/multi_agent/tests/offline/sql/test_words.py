"""The words of questions."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from multi_agent.offline.sql.words import stem

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
