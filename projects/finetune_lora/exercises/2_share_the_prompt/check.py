"""Checks of exercise 2: how much `common_prefix` finds that examples share."""

from finetune_lora.batches import common_prefix
from finetune_lora.encode import Encoded


def one(*ids: int, learned: int) -> Encoded:
    """An example whose last `learned` tokens are learned."""
    return Encoded(list(ids), list(range(len(ids) - learned, len(ids))))


SYSTEM = tuple(range(100, 120))


def found(*examples: Encoded) -> int:
    return common_prefix(examples)


def check_what_all_share() -> None:
    shared = found(one(*SYSTEM, 1, 2, 3, learned=1), one(*SYSTEM, 7, 8, 9, learned=1))
    assert shared == 20, f"both begin with 20 equal tokens, not {shared}"


def check_three_examples() -> None:
    third = (*SYSTEM[:12], 0, 0, 0, 5)
    shared = found(
        one(*SYSTEM, 1, 2, learned=1), one(*SYSTEM, 7, 8, learned=1), one(*third, learned=1)
    )
    assert shared == 12, f"the third leaves the others after 12 tokens, not {shared}"


def check_the_token_before_the_answer_stays() -> None:
    same = one(*SYSTEM, 1, learned=1)
    shared = found(same, same)
    assert shared == 19, f"of 20 tokens before the answer 19 may be shared, not {shared}"


def check_short_ones_are_not_shared() -> None:
    shared = found(one(1, 2, 3, 4, 5, 6, learned=1), one(1, 2, 3, 9, 9, 9, learned=1))
    assert shared == 0, f"three tokens are not worth it: 0, not {shared}"


def check_a_single_example_shares_with_nobody() -> None:
    shared = found(one(*SYSTEM, 1, 2, learned=1))
    assert shared == 0, f"a single example: 0, not {shared}"


def check_a_short_example_beside_a_long_one() -> None:
    shared = found(one(*SYSTEM, 1, learned=1), one(*SYSTEM[:10], learned=1))
    assert shared == 8, f"the short one may share 8 of its 10 tokens, not {shared}"
