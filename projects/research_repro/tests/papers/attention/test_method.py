"""The model: equal to torch's modules, and what its masks, positions and training guarantee."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from research_repro.papers.attention import data, method
from research_repro.papers.attention.method import Shape, Transformer

TINY = Shape(layers=1, d_model=16, d_ff=32, heads=2, d_k=8, d_v=8)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_attention_and_its_gradients_equal_torch() -> None:
    q, k, v = (torch.randn(2, 3, n, 8, requires_grad=True) for n in (5, 7, 7))
    ours, _ = method.scaled_dot_product_attention(q, k, v)
    theirs = nn.functional.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(ours, theirs)
    gradients = (torch.autograd.grad(out.square().sum(), (q, k, v)) for out in (ours, theirs))
    torch.testing.assert_close(*gradients)


def test_without_positions_the_encoder_ignores_order() -> None:
    source, order = torch.tensor([[3, 4, 5, 6]]), torch.tensor([2, 0, 3, 1])
    plain = Transformer(20, replace(TINY, positions="none"))
    torch.testing.assert_close(plain.encode(source)[:, order], plain.encode(source[:, order]))
    ordered = Transformer(20, TINY)
    assert not torch.allclose(ordered.encode(source)[:, order], ordered.encode(source[:, order]))


def test_number_names_are_correct() -> None:
    assert " ".join(data.spell(0, "english")) == "zero"
    assert "".join(data.spell(801, "german")) == "achthunderteins"
    assert " ".join(data.spell(812, "english")) == "eight hundred and twelve"
    assert "".join(data.spell(700, "german")) == "siebenhundert"
    assert " ".join(data.spell(990, "english")) == "nine hundred and ninety"
    assert "".join(data.spell(99, "german")) == "neunundneunzig"


@pytest.mark.parametrize("language", ["german", "english"])
def test_number_names_are_distinct_and_in_the_vocabulary(language: str) -> None:
    names = [tuple(data.spell(number, language)) for number in range(1000)]
    assert len(set(names)) == 1000
    assert {word for name in names for word in name} <= set(data.VOCABULARY)


def test_held_out_numbers_are_not_in_training() -> None:
    assert not set(data.HELD_OUT) & set(data.TRAINING)
    training = {tuple(data.spell(n, "english")) for n in data.TRAINING}
    _, target = data.sentences(50, (1, 1), seed=0, held_out=True)
    assert not training & {tuple(data.words(row[1:])) for row in target}


def test_sentences_depend_on_seed_and_step_alone() -> None:
    first, again = (data.sentences(8, (1, 3), seed=1, step=2) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    other, _ = data.sentences(8, (1, 3), seed=1, step=3)
    assert other.shape != first[0].shape or not torch.equal(other, first[0])
