"""Which examples a step sees: each once an epoch, in an order that the seed alone decides."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from finetune_lora.model.batches import Batches, Collator, common_prefix
from finetune_lora.model.encode import Encoded


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=200),
    size=st.integers(1, 17),
    epochs=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_every_example_once_an_epoch(lengths: list[int], size: int, epochs: int, seed: int) -> None:
    batches = Batches(lengths, size, epochs, seed)
    whole = list(batches)
    assert len(whole) == len(batches) == epochs * batches.per_epoch
    assert whole == list(Batches(lengths, size, epochs, seed))
    for epoch in range(epochs):
        part = whole[epoch * batches.per_epoch : (epoch + 1) * batches.per_epoch]
        assert sorted(i for one in part for i in one) == list(range(len(lengths)))
        assert all(0 < len(one) <= size for one in part)


def test_order_depends_on_seed_and_epoch_and_part_of_an_epoch_is_its_beginning() -> None:
    lengths = list(range(40))
    first = Batches(lengths, 4, 1.5, seed=0)
    assert list(first) == first.epoch(0) + first.epoch(1)[:5]
    assert first.epoch(0) != first.epoch(1)
    assert first.epoch(0) != Batches(lengths, 4, 1.5, seed=1).epoch(0)


def test_examples_of_similar_length_share_a_batch() -> None:
    rng = random.Random(0)
    lengths = [rng.choice([20, 30, 200, 400]) + rng.randint(0, 5) for _ in range(512)]
    batches = [[lengths[i] for i in batch] for batch in Batches(lengths, 8, 1, 0).epoch(0)]
    padding = sum(max(batch) * len(batch) - sum(batch) for batch in batches)
    assert padding < 0.05 * sum(lengths)


def _encoded(prefix: int, length: int) -> Encoded:
    return Encoded([1] * prefix + [2 + length] * (length - prefix), [length - 2, length - 1])


def test_the_prefix_ends_before_what_is_learned() -> None:
    same = Encoded([5] * 20, [15, 16])
    assert common_prefix([same, same]) == 14
    assert common_prefix([same]) == 0
    assert common_prefix([_encoded(7, 20), _encoded(7, 21)]) == 0  # too short for its own pass
    assert common_prefix([_encoded(8, 20), _encoded(8, 21)]) == 8


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    lengths=st.lists(st.integers(14, 60), min_size=1, max_size=12),
    most=st.integers(1, 200),
    share=st.booleans(),
)
def test_parts_hold_every_target_and_keep_their_bound(
    lengths: list[int], most: int, share: bool
) -> None:
    examples = [_encoded(10, n) for n in lengths]
    parts = Collator(0, most_tokens=most, share_prefix=share)(examples)
    assert sum(len(p["input_ids"]) for p in parts) == len(examples)
    assert all(p["input_ids"].numel() <= most or len(p["input_ids"]) == 1 for p in parts)
    seen = []
    for part in parts:
        start = len(part["prefix"])
        ids = part["input_ids"]
        for row, column, label in zip(part["rows"], part["columns"], part["labels"], strict=True):
            whole = [*part["prefix"].tolist(), *ids[row].tolist()]
            assert whole[int(column) + start + 1] == int(label)
            seen.append(int(label))
    assert sorted(seen) == sorted(e.ids[i] for e in examples for i in e.learned)
