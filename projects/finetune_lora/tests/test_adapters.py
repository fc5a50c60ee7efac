"""Adapters: attached, saved, loaded again, and refused where they do not belong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from finetune_fakes import tiny_adapter, tiny_base

from finetune_lora.model.adapter import AdapterOptions, attach, load_adapter, read_task
from finetune_lora.model.base import load_base
from seedbed.errors import BadInput, NotFound

IDS = torch.tensor([[1, 40, 41, 42, 43]])


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("method", ["lora", "dora", "rslora"])
def test_what_is_loaded_computes_what_was_saved(spec: str, tmp_path: Path, method: str) -> None:
    folder = tiny_adapter(tmp_path / "adapter", spec, method=method)
    first, second = (load_adapter(folder, dtype="float32").model for _ in range(2))
    plain = load_base(spec, dtype="float32").model.eval()
    with torch.no_grad():
        assert torch.equal(first(IDS).logits, second(IDS).logits)
        assert not torch.allclose(first(IDS).logits, plain(IDS).logits, atol=1e-2)
    assert not first.training
    assert not [p.name for p in folder.iterdir() if p.name.startswith(".") or "README" in p.name]


def test_a_fresh_adapter_changes_nothing_and_is_float32(spec: str) -> None:
    base = load_base(spec, dtype="bfloat16")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before = base.model(IDS).logits
        model = attach(base, AdapterOptions(r=4)).eval()
        assert torch.equal(before, model(IDS).logits)
    learned = [p for p in model.parameters() if p.requires_grad]
    assert learned
    assert {p.dtype for p in learned} == {torch.float32}


def test_targets_choose_layers(spec: str) -> None:
    model = attach(load_base(spec, dtype="float32"), AdapterOptions(r=2, targets="q_proj,v_proj"))
    layers = {
        n.split(".lora_")[0].rpartition(".")[2]
        for n, p in model.named_parameters()
        if p.requires_grad
    }
    assert layers == {"q_proj", "v_proj"}


def test_an_adapter_of_another_base(spec: str, tmp_path: Path) -> None:
    folder = tiny_adapter(tmp_path / "adapter", spec)
    other = tiny_base(tmp_path / "other", seed=1)
    with pytest.raises(BadInput, match=r"was trained on .*--base"):
        load_adapter(folder, base=other, dtype="float32")
    (folder / "task.json").unlink()
    assert read_task(folder) == {}


def test_an_adapter_for_a_deeper_base(spec: str, tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "deep", layers=3)
    folder = tiny_adapter(tmp_path / "adapter", base)
    (folder / "task.json").unlink()  # which names its base
    assert load_adapter(folder, base=base, dtype="float32")
    with pytest.raises(BadInput, match=r"does not fit .*layers\.2.*--base"):
        load_adapter(folder, base=spec, dtype="float32")


def test_folders_without_an_adapter(spec: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="it contains: nothing"):
        load_adapter(tmp_path / "missing")
    with pytest.raises(NotFound, match=r"No adapter found .*model\.safetensors"):
        load_adapter(Path(spec.removeprefix("path:")))


@pytest.mark.parametrize("name", ["task.json", "adapter_config.json", "adapter_model.safetensors"])
def test_a_damaged_adapter(spec: str, tmp_path: Path, name: str) -> None:
    folder = tiny_adapter(tmp_path / "adapter", spec)
    (folder / name).write_bytes((folder / name).read_bytes()[:50])
    with pytest.raises(BadInput) as error:
        load_adapter(folder, dtype="float32")
    assert "\n" not in str(error.value)
    shutil.rmtree(folder)
