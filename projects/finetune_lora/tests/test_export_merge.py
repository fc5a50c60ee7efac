"""A merged model answers as its adapter does, and its folder appears complete or not at all."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import pytest
import torch
from finetune_fakes import tiny_adapter, tiny_base
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from finetune_lora.export import export
from finetune_lora.export.merge import _merged
from finetune_lora.model.adapter import load_adapter
from seedbed.errors import BadInput, SeedbedError

IDS = torch.tensor([[5, 77, 130, 261, 9, 300, 42, 8]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def adapter(tmp_path: Path, base: str) -> Path:
    return tiny_adapter(tmp_path / "adapter", base)


def merge(adapter: Path, out: Path, *, force: bool = False) -> Path:
    return Path(export(adapter, "merged", out, force=force)["path"])


@pytest.mark.parametrize("method", ["lora", "dora", "rslora"])
def test_logits_are_those_of_the_adapter(tmp_path: Path, base: str, method: str) -> None:
    adapter = tiny_adapter(tmp_path / "adapter", base, method=method)
    loaded = load_adapter(adapter, dtype="float32")
    with torch.inference_mode():
        expected = loaded.model(input_ids=IDS).logits
    out = export(adapter, "merged", type="float32", force=False, adapter=loaded)["path"]
    merged = AutoModelForCausalLM.from_pretrained(out)
    bare = AutoModelForCausalLM.from_pretrained(base.removeprefix("path:"))
    with torch.inference_mode():
        logits, before = (model(input_ids=IDS).logits for model in (merged, bare))
        assert torch.equal(loaded.model(input_ids=IDS).logits, expected)  # not changed
    assert torch.allclose(logits, expected, atol=1e-4)
    assert not torch.allclose(before, expected, atol=0.1)  # the adapter does something


def test_only_an_export_of_the_same_format_is_replaced(tmp_path: Path, adapter: Path) -> None:
    out = merge(adapter, tmp_path / "merged")
    assert merge(adapter, out) == out
    with pytest.raises(BadInput, match=r"contains an export to merged.* --force"):
        export(adapter, "gguf", out, force=False)
    (other := tmp_path / "other").mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match=r"other is not empty .* --force"):
        merge(adapter, other)
    assert (other / "thesis.txt").exists()
    merge(adapter, other, force=True)
    assert not (other / "thesis.txt").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"adapter", "merged", "other"}


@pytest.mark.parametrize("where", ["adapter", "."])
def test_force_never_replaces_the_source(tmp_path: Path, adapter: Path, where: str) -> None:
    with pytest.raises(BadInput, match="contains other files besides an export"):
        merge(adapter, tmp_path / where, force=True)
    assert (adapter / "adapter_model.safetensors").exists()


@pytest.mark.parametrize("to", ["merged", "gguf"])
def test_full_disk_is_one_line_and_leaves_the_earlier_export(
    tmp_path: Path, adapter: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(export(adapter, to, tmp_path / "out" / "here", force=False)["path"])
    files = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file()}
    # Python before 3.14 would keep a truncated .pyc file of a module imported meanwhile.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
        with pytest.raises(SeedbedError, match=r"could not be written.*Free some disk") as error:
            export(adapter, to, tmp_path / "out" / "here", force=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert out.exists() and "\n" not in str(error.value)
    assert files == {f: f.read_bytes() for f in (tmp_path / "out").rglob("*") if f.is_file()}


def test_merge_that_would_change_the_answers_is_refused(base: str) -> None:
    bare = AutoModelForCausalLM.from_pretrained(base.removeprefix("path:"))
    model = get_peft_model(bare, LoraConfig(target_modules=["lm_head"])).eval()
    torch.nn.init.normal_(model.base_model.model.lm_head.lora_B["default"].weight)
    with pytest.raises(SeedbedError, match="logits differ"):
        _merged(model)
