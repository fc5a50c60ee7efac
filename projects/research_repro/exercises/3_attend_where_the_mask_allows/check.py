"""Checks of exercise 3: weights and outputs of attention, for scores that are known."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from research_repro.papers.attention.method import causal_mask, scaled_dot_product_attention


def expect(
    case: str, weights: list[list[float]], scores: list[list[float]], mask: Tensor | None = None
) -> None:
    """One row a query, with a score for each key; d_k is 4, and the values are 1, 10, 100 …"""
    keys = len(scores[0])
    q, k = torch.zeros(len(scores), 4), torch.zeros(keys, 4)
    q[:, :keys], k[:, :keys] = 2 * torch.tensor(scores), torch.eye(keys)
    v = 10.0 ** torch.arange(keys)[:, None]
    before = [tensor.clone() for tensor in (q, k, v)]
    output, actual = scaled_dot_product_attention(q, k, v, mask)
    case = f"{case}, scores {scores}, mask {mask if mask is None else mask.tolist()}"
    expected = torch.tensor(weights)
    same = torch.allclose(actual, expected, atol=1e-3)
    assert same, f"{case}: expected the weights {weights}, got {actual.tolist()}"
    assert torch.allclose(output, expected @ v, rtol=1e-3), f"{case}: got {output.tolist()}"
    assert all(map(torch.equal, (q, k, v), before)), f"{case}: the arguments were changed"


def check_1_scores_are_divided_by_the_root_of_d_k() -> None:
    log = math.log(2)
    # Without the division, the weights of the first query would be as 4 to 1.
    expect("each query prefers a key", [[2 / 3, 1 / 3], [1 / 3, 2 / 3]], [[log, 0], [0, log]])


def check_2_masked_keys_have_the_weight_0() -> None:
    mask = torch.tensor([[True, True, False]])
    for low in (-50.0, -500.0):
        expect("the third is masked", [[0.5, 0.5, 0], [0.5, 0.5, 0]], [[low] * 3] * 2, mask)
    expect("a mask for each query", [[1, 0], [0.5, 0.5]], [[0, 0]] * 2, causal_mask(2))


def check_3_weights_are_a_softmax_over_the_keys() -> None:
    expect("large scores", [[0.5, 0.5], [1, 0], [0.5, 0.5]], [[500, 500], [500, 0], [0, 0]])


def check_4_values_are_added_by_their_weights() -> None:
    q, k, v = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 7, 8), torch.randn(2, 3, 7, 6)
    output, weights = scaled_dot_product_attention(q, k, v)
    expected = F.scaled_dot_product_attention(q, k, v)
    assert output.shape == expected.shape, f"expected {expected.shape}, got {output.shape}"
    assert torch.allclose(output, expected, atol=1e-4), f"expected {expected}, got {output}"
    assert weights.shape == (2, 3, 5, 7), f"expected weights of (2, 3, 5, 7), got {weights.shape}"
