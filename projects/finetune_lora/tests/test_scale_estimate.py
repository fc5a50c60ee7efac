"""The estimate against models that are really made, and against sums done by hand."""

import json
from pathlib import Path

import pytest

from finetune_lora.model.adapter import AdapterOptions, attach
from finetune_lora.model.base import load_base
from finetune_lora.testing import tiny_base
from finetune_lora.train.scale.estimate import (
    GPUS,
    SHAPES,
    estimate,
    rows,
    shape_for,
    shape_of,
    table,
)
from seedbed.errors import ConfigError

A10G, A100, H100 = GPUS
ONE, SEVEN, SEVENTY = SHAPES


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_the_counts_are_those_of_a_real_model(tmp_path: Path, method: str) -> None:
    loaded = load_base(tiny_base(tmp_path / "base"), dtype="float32")
    shape = shape_of(json.loads((tmp_path / "base/config.json").read_text()))
    assert shape.params == loaded.model.num_parameters()
    model = attach(loaded, AdapterOptions(method=method, r=8))
    learned = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert shape.adapter(8, method) == learned


@pytest.mark.parametrize(
    ("shape", "params"), [(ONE, 1_235_814_400), (SEVEN, 6_738_415_616), (SEVENTY, 70_553_706_496)]
)
def test_the_known_shapes_have_their_published_number_of_weights(
    shape: object, params: int
) -> None:
    assert shape.params == params  # type: ignore[attr-defined]


def test_memory_is_the_sum_that_the_docstring_says() -> None:
    found = estimate(SEVEN, A100, pass_tokens=1024, checkpointing=False)
    learned = 16 * 32 * (9 * 4096 + 2 * 4096 + 3 * 11008)
    assert found.weights == pytest.approx(2 * 6.738, rel=1e-3)
    assert found.adapter + found.gradients + found.optimizer == pytest.approx(16 * learned / 1e9)
    layer = 2 * (4 * 4096 + 2 * 4096 + 4 * 11008) + 8 * 4096
    logits = 16 * 0.2 * 32000
    assert found.activations == pytest.approx(1024 * (32 * layer + logits) / 1e9)
    assert found.fits
    assert found.hours(3600 * found.tokens_per_second) == pytest.approx(1)


def test_activations_are_about_what_autograd_keeps(tmp_path: Path) -> None:
    import torch

    loaded = load_base(tiny_base(tmp_path / "base"), dtype="bfloat16")
    shape = shape_of(json.loads((tmp_path / "base/config.json").read_text()))
    model = attach(loaded, AdapterOptions())

    def kept(tokens: int) -> int:
        sizes: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            held.append(tensor)  # else an address would be used again
            return tensor

        held: list[torch.Tensor] = []
        ids = torch.zeros(1, tokens, dtype=torch.long)
        with (
            torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
            torch.autocast("cpu", torch.bfloat16),
        ):
            model(input_ids=ids, logits_to_keep=1)
        return sum(sizes.values())

    ours = estimate(shape, A100, pass_tokens=1000, checkpointing=False).activations * 1e6
    logits = 16 * 0.2 * shape.vocabulary
    assert (kept(300) - kept(100)) / 200 == pytest.approx(ours - logits, rel=0.35)


def test_checkpointing_fsdp_and_four_bits_save_what_they_should() -> None:
    plain = estimate(SEVENTY, H100, checkpointing=False)
    assert not plain.fits
    saved = estimate(SEVENTY, H100, checkpointing=True)
    assert saved.activations < plain.activations / 10
    assert saved.tokens_per_second < plain.tokens_per_second
    four = estimate(SEVENTY, H100, method="qlora")
    assert four.fits
    assert 0.25 < four.weights / plain.weights < 0.35
    cut = estimate(SEVENTY, H100, gpus=8, fsdp=True)
    assert cut.fits
    assert plain.weights / 8 < cut.weights < plain.weights / 5
    assert cut.optimizer == pytest.approx(plain.optimizer / 8)
    # Memory too small without it: recomputing is chosen by itself.
    assert estimate(SEVEN, A10G, pass_tokens=4096).checkpointing
    # A thousand tokens a pass cannot hide the moving of 70B weights over a slow link.
    slow, fast = (estimate(SEVENTY, A10G, gpus=16, fsdp=True, pass_tokens=n) for n in (256, 4096))
    assert fast.tokens_per_second > 2 * slow.tokens_per_second


def test_a_number_of_weights_becomes_a_shape() -> None:
    for params in (135e6, 1e9, 7e9, 13e9, 70e9, 400e9):
        assert shape_for(params).params == pytest.approx(params, rel=0.25)
    with pytest.raises(ConfigError, match="number of parameters 12"):
        shape_for(12)
    with pytest.raises(ConfigError, match="Unknown method 'full'"):
        estimate(ONE, A10G, method="full")
    with pytest.raises(ConfigError, match="hidden_size"):
        shape_of({"num_attention_heads": 4})


def test_the_table_has_a_row_for_each_model_way_and_gpu() -> None:
    found = rows()
    lines = table(found).splitlines()
    assert len(lines) == 2 + len(found) == 2 + 27
    assert "does not fit" in table(found)
    assert all(line.count("|") == lines[0].count("|") for line in lines)
