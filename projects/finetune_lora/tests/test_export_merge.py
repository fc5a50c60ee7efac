"""A merged model answers as its adapter does, and its folder appears whole or not at all."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from finetune_fakes import tiny_adapter, tiny_base
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_lora.export.folders import export_folder
from finetune_lora.export.gguf import to_gguf
from finetune_lora.export.merge import merge
from finetune_lora.model.adapter import load_adapter
from seedbed.errors import BadInput, NotFound, SeedbedError

IDS = torch.tensor([[5, 77, 130, 261, 9, 300, 42, 8]])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.mark.parametrize("method", ["lora", "dora", "rslora"])
def test_its_logits_are_the_adapters(tmp_path: Path, base: str, method: str) -> None:
    adapter = tiny_adapter(tmp_path / "adapter", base, method=method)
    out = merge(adapter, tmp_path / "merged", dtype="float32")
    merged = AutoModelForCausalLM.from_pretrained(out)
    bare = AutoModelForCausalLM.from_pretrained(base.removeprefix("path:"))
    with torch.inference_mode():
        wanted = load_adapter(adapter, dtype="float32").model(input_ids=IDS).logits
        got, before = (model(input_ids=IDS).logits for model in (merged, bare))
    assert torch.allclose(got, wanted, atol=1e-4)
    assert not torch.allclose(before, wanted, atol=0.1)  # the adapter does something


def test_it_is_a_folder_of_its_own_with_tokenizer_and_template(tmp_path: Path, base: str) -> None:
    out = merge(tiny_adapter(tmp_path / "adapter", base), tmp_path / "merged")
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in out.iterdir()
    }
    assert AutoModelForCausalLM.from_pretrained(out, dtype="auto").dtype == torch.bfloat16
    chat = [{"role": "user", "content": "Hi"}]
    text = AutoTokenizer.from_pretrained(out).apply_chat_template(chat, tokenize=False)
    assert text == "<|im_start|>user\nHi<|im_end|>\n"
    assert json.loads((out / "export.json").read_text())["base"] == base


def test_only_an_export_is_replaced_without_force(tmp_path: Path, base: str) -> None:
    adapter = tiny_adapter(tmp_path / "adapter", base)
    out = merge(adapter, tmp_path / "merged")
    assert merge(adapter, out) == out  # one of ours
    (other := tmp_path / "other").mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(BadInput, match=r"other is not empty .* --force"):
        merge(adapter, other)
    assert (other / "thesis.txt").exists()
    merge(adapter, other, force=True)
    assert not (other / "thesis.txt").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"adapter", "merged", "other"}


@pytest.mark.parametrize("where", ["adapter", "."])
def test_force_never_replaces_what_it_reads(tmp_path: Path, base: str, where: str) -> None:
    adapter = tiny_adapter(tmp_path / "adapter", base)
    with pytest.raises(BadInput, match="contains other files besides an export"):
        merge(adapter, tmp_path / where, force=True)
    assert (adapter / "adapter_model.safetensors").exists()


def test_a_folder_without_an_adapter_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No adapter found"):
        merge(tmp_path, tmp_path / "merged")


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    facts = {"source": str(tmp_path / "source")}
    with export_folder(tmp_path / "out", facts) as scratch:
        (scratch / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), export_folder(tmp_path / "out", facts) as scratch:
        (scratch / "a").write_text(str(1 / 0))
    assert (tmp_path / "out" / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX resource limits")
@pytest.mark.parametrize("to", [merge, to_gguf])
def test_export_to_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    base: str,
    to: Callable[[Path, Path], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import resource

    # Python before 3.14 would keep a cut .pyc file of what is imported meanwhile.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    adapter = tiny_adapter(tmp_path / "adapter", base)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
        with pytest.raises(SeedbedError, match=r"^Cannot write .*Free some disk space") as error:
            to(adapter, tmp_path / "out" / "here")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "\n" not in str(error.value)
    assert list((tmp_path / "out").rglob("*")) == []


def test_a_merge_that_would_change_the_answers_is_refused(base: str) -> None:
    from peft import LoraConfig, get_peft_model

    from finetune_lora.export.merge import _merged

    bare = AutoModelForCausalLM.from_pretrained(base.removeprefix("path:"))
    model = get_peft_model(bare, LoraConfig(target_modules=["lm_head"])).eval()
    torch.nn.init.normal_(model.base_model.model.lm_head.lora_B["default"].weight)
    with pytest.raises(SeedbedError, match="logits differ"):
        _merged(model)
