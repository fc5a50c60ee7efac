"""Checks of exercise 2: the length of the common beginning that `common_prefix` returns."""

from finetune_lora.model import batches
from finetune_lora.model.encode import Encoded

SYSTEM = "abcdefghijklmnopqrst"  # 20 tokens


def expect(expected: int, *examples: str) -> None:
    """The tokens of an example are letters, and those after its | are learned."""
    made = []
    for text in examples:
        ids = [ord(letter) for letter in text.replace("|", "")]
        made.append(Encoded(ids, list(range(text.index("|"), len(ids)))))
    actual = batches.common_prefix(made)
    case = f"examples {examples}, whose letters after | are learned"
    assert actual == expected, f"{case}: expected {expected}, got {actual!r}"


def check_1_tokens_at_the_beginning_that_are_equal_in_all_examples_are_counted() -> None:
    expect(20, f"{SYSTEM}123|4", f"{SYSTEM}723|4")
    expect(12, f"{SYSTEM}12|3", f"{SYSTEM[:12]}000|5", f"{SYSTEM}78|9")
    expect(12, f"{SYSTEM}12|3", f"{SYSTEM}78|9", f"{SYSTEM[:12]}000|5")


def check_2_the_token_before_the_first_learned_one_of_any_example_is_not_shared() -> None:
    expect(19, f"{SYSTEM}|1", f"{SYSTEM}|1")
    expect(10, f"{SYSTEM}|1", f"{SYSTEM[:11]}|{SYSTEM[11:]}1234")
    expect(8, f"{SYSTEM}|1", f"{SYSTEM[:9]}|j")


def check_3_a_short_beginning_and_a_single_example_share_nothing() -> None:
    before = batches._SHORT
    try:
        for batches._SHORT in (before, 4):
            for equal, expected in ((batches._SHORT - 1, 0), (batches._SHORT, batches._SHORT)):
                expect(expected, f"{SYSTEM[:equal]}12|3", f"{SYSTEM[:equal]}78|9")
    finally:
        batches._SHORT = before
    expect(0, f"{SYSTEM}12|3")
