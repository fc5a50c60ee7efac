"""Checks of exercise 3: weights and outputs of attention, for scores that are known."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from research_repro.papers.attention.method import (
    PAD,
    causal_mask,
    padding_mask,
    scaled_dot_product_attention,
)

D_K = 4  # numbers of a query; a value has one


def attend(
    scores: Sequence[float], queries: int = 1, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Output and weights for keys with these scores and the values 1, 10, 100, …"""
    q, k = torch.zeros(queries, D_K), torch.zeros(len(scores), D_K)
    q[:, 0], k[:, 0] = math.sqrt(D_K), torch.tensor(scores)
    v = 10.0 ** torch.arange(len(scores))[:, None]
    return both(scaled_dot_product_attention(q, k, v, mask))


def both(result: object) -> tuple[Tensor, Tensor]:
    problem = f"expected a tuple of two tensors (step 4), got {type(result).__name__}"
    assert isinstance(result, tuple), problem
    assert len(result) == 2, f"expected two tensors (step 4), got {len(result)}"
    return result


def rounded(tensor: Tensor) -> list[list[float]]:
    return [[round(value, 3) for value in row] for row in tensor.tolist()]


def expect(actual: Tensor, expected: Sequence[Sequence[float]], case: str) -> None:
    got, wanted = rounded(actual), rounded(torch.tensor(expected, dtype=torch.float32))
    assert got == wanted, f"{case}: expected {wanted}, got {got}"


def check_1_scores_are_divided_by_the_root_of_d_k() -> None:
    # The dot products are 2 log 3 and 0. Weights are as 3 to 1; without a division, as 9 to 1.
    _, weights = attend([math.log(3), 0])
    expect(weights, [[0.75, 0.25]], "dot products 2 log 3 and 0, d_k 4: weights")


def check_1_each_query_meets_each_key() -> None:
    q, k = torch.eye(3)[:2] * math.sqrt(3) * math.log(2), torch.eye(3)
    _, weights = both(scaled_dot_product_attention(q, k, torch.ones(3, 1)))
    expected = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]]
    expect(weights, expected, "query 1 matches key 1, query 2 matches key 2: weights")


def check_1_the_arguments_stay_as_they_are() -> None:
    arguments = torch.ones(2, D_K), torch.ones(3, D_K), torch.ones(3, 1)
    scaled_dot_product_attention(*arguments, torch.ones(2, 3, dtype=torch.bool))
    actual = [sorted(set(tensor.flatten().tolist())) for tensor in arguments]
    assert actual == [[1]] * 3, f"q, k, v of ones: expected ones afterwards, got {actual}"


def check_2_a_masked_key_has_the_weight_0() -> None:
    mask = torch.tensor([[True, True, False]])
    _, weights = attend([math.log(3), 0, 0], mask=mask)
    expect(weights, [[0.75, 0.25, 0]], "scores log 3, 0, 0, the third masked: weights")


def check_2_negative_scores_can_be_masked() -> None:
    mask = torch.tensor([[True, True, False]])
    _, weights = attend([-50, -50, -50], mask=mask)
    expect(weights, [[0.5, 0.5, 0]], "scores -50, -50, -50, the third masked: weights")
    _, weights = attend([-500, -500, -500], mask=mask)
    expect(weights, [[0.5, 0.5, 0]], "scores -500, -500, -500, the third masked: weights")


def check_2_each_query_has_its_own_mask() -> None:
    _, weights = attend([0, 0], queries=2, mask=causal_mask(2))
    expect(weights, [[1, 0], [0.5, 0.5]], "equal scores, causal mask: weights")


def check_2_a_mask_is_broadcast() -> None:
    mask = padding_mask(torch.tensor([[5, 6, PAD], [7, PAD, PAD]]))
    q, k, v = torch.zeros(2, 4, 3, D_K), torch.zeros(2, 4, 3, D_K), torch.ones(2, 4, 3, 1)
    _, weights = both(scaled_dot_product_attention(q, k, v, mask))
    case = "4 heads, 3 queries, padding mask of the shape (2, 1, 1, 3): weights of the last query"
    assert weights.shape == (2, 4, 3, 3), f"{case}: got the shape {tuple(weights.shape)}"
    expect(weights[:, -1, -1], [[0.5, 0.5, 0], [1, 0, 0]], case)


def check_3_the_weights_of_a_query_add_up_to_1() -> None:
    _, weights = attend([0, 1, 2], queries=2)
    expect(weights.sum(-1, keepdim=True), [[1], [1]], "2 queries, 3 keys: sums of the weights")


def check_3_scores_may_be_large() -> None:
    _, weights = attend([500, 500])
    expect(weights, [[0.5, 0.5]], "scores 500 and 500: weights")
    q, k = torch.tensor([[500.0], [0.0]]), torch.tensor([[1.0], [0.0]])
    _, weights = both(scaled_dot_product_attention(q, k, torch.ones(2, 1)))
    expect(weights, [[1, 0], [0.5, 0.5]], "scores 500, 0 of one query and 0, 0 of another: weights")


def check_4_values_are_added_by_their_weights() -> None:
    output, _ = attend([math.log(3), 0])
    expect(output, [[0.75 * 1 + 0.25 * 10]], "values 1 and 10, weights 0.75 and 0.25: output")


def check_4_outputs_equal_those_of_torch() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 7, 8), torch.randn(2, 3, 7, 6)
    output, weights = both(scaled_dot_product_attention(q, k, v))
    case = "2 sentences, 3 heads, 5 queries, 7 keys, values of 6 numbers"
    for name, actual, expected in (
        ("output", output, F.scaled_dot_product_attention(q, k, v)),
        ("weights", weights, F.scaled_dot_product_attention(q, k, torch.eye(7).expand(2, 3, 7, 7))),
    ):
        wanted, got = tuple(expected.shape), tuple(actual.shape)
        assert got == wanted, f"{case}: expected {name} of the shape {wanted}, got {got}"
        difference = float((actual - expected).abs().max())
        assert difference < 1e-4, f"{case}: expected torch's {name}, got others by {difference:.3g}"
