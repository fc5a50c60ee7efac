"""Checks of exercise 2: the length of the common beginning that `common_prefix` returns."""

from finetune_lora.model import batches
from finetune_lora.model.batches import _SHORT, common_prefix
from finetune_lora.model.encode import Encoded

SYSTEM = tuple(range(100, 120))


def one(*ids: int, learned: int = 1) -> Encoded:
    """An example whose last `learned` tokens are learned."""
    return Encoded(list(ids), list(range(len(ids) - learned, len(ids))))


def expect(expected: int, case: str, *examples: Encoded) -> None:
    actual = common_prefix(examples)
    assert actual == expected, f"{case}: expected {expected}, got {actual!r}"


def check_1_equal_tokens_are_counted() -> None:
    case = "two examples with 20 equal tokens at the beginning"
    expect(20, case, one(*SYSTEM, 1, 2, 3), one(*SYSTEM, 7, 2, 3))


def check_1_equal_tokens_after_a_difference_do_not_count() -> None:
    case = "20 equal tokens, one that differs and three equal ones"
    expect(20, case, one(*SYSTEM, 1, 2, 3, 4, 5), one(*SYSTEM, 7, 2, 3, 4, 5))


def check_1_the_tokens_of_all_examples_are_compared() -> None:
    case = "the third of three examples differs after 12 tokens"
    third = one(*SYSTEM[:12], 0, 0, 0, 5)
    expect(12, case, one(*SYSTEM, 1, 2), one(*SYSTEM, 7, 8), third)


def check_2_the_token_before_the_first_learned_one_is_not_shared() -> None:
    case = "two equal examples whose first learned token is at position 20"
    expect(19, case, one(*SYSTEM, 1), one(*SYSTEM, 1))
    case = "two equal examples whose first learned token is at position 15"
    expect(14, case, one(*SYSTEM, learned=5), one(*SYSTEM, learned=5))


def check_2_the_first_learned_token_of_any_example_counts() -> None:
    case = "first learned tokens at positions 20 and 11"
    expect(10, case, one(*SYSTEM, 1), one(*SYSTEM, learned=9))
    expect(10, case, one(*SYSTEM, learned=9), one(*SYSTEM, 1))
    case = "21 tokens, and 24 of which those from position 11 on are learned"
    expect(10, case, one(*SYSTEM, 1), one(*SYSTEM, 1, 2, 3, 4, learned=13))
    case = "an example of 10 tokens beside one of 21, both with one learned token"
    expect(8, case, one(*SYSTEM, 1), one(*SYSTEM[:10]))


def check_3_a_short_beginning_is_not_shared() -> None:
    for equal, expected in ((_SHORT - 1, 0), (_SHORT, _SHORT)):
        case = f"{equal} equal tokens"
        expect(expected, case, one(*SYSTEM[:equal], 1, 2, 3), one(*SYSTEM[:equal], 7, 8, 9))


def check_3_a_change_of_the_constant_changes_the_result() -> None:
    before, batches._SHORT = batches._SHORT, 4
    try:
        expect(4, "4 equal tokens, _SHORT is 4", one(*SYSTEM[:4], 1, 2), one(*SYSTEM[:4], 7, 8))
    finally:
        batches._SHORT = before


def check_3_a_single_example_shares_nothing() -> None:
    expect(0, "a single example", one(*SYSTEM, 1, 2))
