"""The methods that LoRA is compared with: what they train, and that they start from the base."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import DynamicCache

from research_repro.paper import Cell
from research_repro.papers.lora.baselines import prepare
from research_repro.papers.lora.method import target_loss, train
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput

from .conftest import logits, make_batch, make_model

D, L, WIDTH, LENGTH = 32, 2, 3, 5
SETTINGS: dict[str, dict[str, Any]] = {
    "full": {},
    "bitfit": {},
    "adapter": {"width": WIDTH},
    "prefix": {"length": LENGTH},
}
# Vectors of a block: q, k, v and o, the MLP's two, two norms; Llama has only linear layers' added.
BIASES = {"llama": 32 + 16 + 16 + 32 + 48 + 48 + 32, "gpt2": 96 + 32 + 128 + 32 + 64}
ADAPTERS = 2 * (2 * D * WIDTH + WIDTH + D)


@pytest.mark.parametrize(
    ("kind", "method", "expected"),
    [
        ("llama", "bitfit", L * BIASES["llama"]),
        ("gpt2", "bitfit", L * BIASES["gpt2"] + D),  # and the last norm
        ("tiny", "bitfit", L * BIASES["gpt2"] + D),
        ("llama", "adapter", L * (ADAPTERS + 2 * D)),
        ("gpt2", "adapter", L * (ADAPTERS + 2 * 2 * D)),
        ("tiny", "adapter", L * (ADAPTERS + 2 * 2 * D)),
        ("llama", "prefix", L * 2 * 16 * LENGTH),  # grouped keys are half as wide
        ("gpt2", "prefix", L * 2 * D * LENGTH),
        ("tiny", "prefix", L * 2 * D * LENGTH),
    ],
)
def test_trainable_parameters_equal_formula(kind: str, method: str, expected: int) -> None:
    assert prepare(make_model(kind), method, SETTINGS[method]) == expected


@pytest.mark.parametrize("kind", ["llama", "gpt2", "tiny"])
def test_full_fine_tuning_trains_all_parameters(kind: str) -> None:
    model = make_model(kind)
    assert prepare(model, "full", {}) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("kind", ["llama", "gpt2", "tiny"])
@pytest.mark.parametrize(("method", "change"), [("bitfit", 0.0), ("adapter", 0.01)])
def test_method_starts_at_the_base(kind: str, method: str, change: float) -> None:
    model, batch = make_model(kind), make_batch(0)
    before = logits(model, batch)
    prepare(model, method, SETTINGS[method])
    assert (logits(model, batch) - before).abs().max() <= change


@pytest.mark.parametrize("kind", ["llama", "gpt2", "tiny"])
@pytest.mark.parametrize("method", list(SETTINGS))
def test_method_trains_exactly_its_parameters(kind: str, method: str, workspace: Workspace) -> None:
    model = make_model(kind)
    prepare(model, method, SETTINGS[method])
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    losses = train(
        model, lambda _: make_batch(0), workspace, Cell(method, 0), steps=15, learning_rate=0.03
    )
    assert losses[-1] < losses[0]
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) is not parameter.requires_grad, name


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_prefix_equals_cached_keys_and_values(kind: str) -> None:
    """The same keys and values in transformers' own cache give the same logits."""
    model, base, batch = make_model(kind), make_model(kind), make_batch(0)
    prepare(model, "prefix", SETTINGS["prefix"])
    prefixes = [m.prefix for m in model.modules() if hasattr(m, "prefix")]
    cache = DynamicCache()
    for layer, prefix in enumerate(prefixes):
        prefix.value.data *= 50
        keys, values = (part.detach().expand(4, -1, -1, -1) for part in (prefix.key, prefix.value))
        cache.update(keys, values, layer)
    mask = torch.cat([torch.ones(4, LENGTH, dtype=torch.long), batch["attention_mask"]], 1)
    positions = torch.arange(12).expand(4, -1)
    with torch.no_grad():
        output = base(batch["input_ids"], attention_mask=mask, position_ids=positions, cache=cache)
    actual = logits(model, batch)
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(actual[real], output.logits[real])
    assert not torch.allclose(actual, logits(base, batch), atol=0.01)


def test_prefix_is_seen_in_cached_generation() -> None:
    """With and without a cache the same words, also after padding on the left."""
    model = make_model("llama")
    prepare(model, "prefix", {"length": 3, "seed": 1})
    ids = make_batch(0)["input_ids"][:1, :5]
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    padded = torch.cat([torch.zeros(1, 2, dtype=torch.long), ids], 1)
    cached = model.generate(padded, attention_mask=(padded != 0).long(), **options)
    for _ in range(6):
        following = model(ids).logits[:, -1].argmax(-1, keepdim=True)
        ids = torch.cat([ids, following], 1)
    assert cached[0, 2:].tolist() == ids[0].tolist()


def test_prefix_of_tiny_gpt_is_seen_with_a_cache() -> None:
    """Logits of one token at a time equal those of all tokens at once."""
    model, ids = make_model("tiny"), make_batch(0)["input_ids"]
    prepare(model, "prefix", SETTINGS["prefix"])
    mask, cache = torch.ones_like(ids), {}
    with torch.no_grad():
        steps = [model(ids[:, i : i + 1], mask[:, : i + 1], cache) for i in range(12)]
        torch.testing.assert_close(torch.cat(steps, 1), model(ids))


def test_lora_is_prepared_by_name() -> None:
    model = make_model("tiny")
    settings = {"targets": ["query"], "rank": 1, "alpha": 1}
    assert prepare(model, "lora", settings) == 2 * 2 * D
    assert target_loss(model, make_batch(0)).requires_grad


def test_unknown_method_is_bad_input() -> None:
    with pytest.raises(BadInput, match="'ia3'") as error:
        prepare(make_model("tiny"), "ia3", {})
    assert "bitfit" in str(error.value.hint)
