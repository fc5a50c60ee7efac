"""Adapters: attached, saved, loaded again, and refused where they do not belong."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from finetune_fakes import tiny_adapter, tiny_base
from typer.testing import CliRunner

from finetune_lora.__main__ import app
from finetune_lora.data.read import load_dataset, training_data
from finetune_lora.model.adapter import attach, load_adapter, read_task
from finetune_lora.model.base import load_base
from seedbed.errors import BadInput, NotFound

README = Path(__file__).parents[1] / "README.md"
IDS = torch.tensor([[1, 40, 41, 42, 43]])


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_base(tmp_path_factory.mktemp("base"))


def test_a_fresh_adapter_changes_nothing_and_is_float32(spec: str) -> None:
    base = load_base(spec, dtype="bfloat16")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        before = base.model(IDS).logits
        model = attach(base, r=4).eval()
        assert torch.equal(before, model(IDS).logits)
    learned = [p for p in model.parameters() if p.requires_grad]
    assert learned
    assert {p.dtype for p in learned} == {torch.float32}


def test_targets_choose_the_adapted_layers(spec: str) -> None:
    model = attach(load_base(spec, dtype="float32"), r=2, targets="q_proj,v_proj", layers=1)
    names = {n.split(".lora_")[0] for n, p in model.named_parameters() if p.requires_grad}
    assert {".".join(n.split(".")[-3:]) for n in names} == {
        "1.self_attn.q_proj",
        "1.self_attn.v_proj",
    }


def test_adapter_of_another_base_is_refused(spec: str, tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "deep", layers=3)
    folder = tiny_adapter(tmp_path / "adapter", base)
    with pytest.raises(BadInput, match=r"was trained on .*--base"):
        load_adapter(folder, base=spec, dtype="float32")
    (folder / "task.json").unlink()  # which has the hash of its base
    assert load_adapter(folder, base=base, dtype="float32")
    with pytest.raises(BadInput, match=r"does not fit .*layers\.2.*--base"):
        load_adapter(folder, base=spec, dtype="float32")


def test_folder_without_an_adapter_is_refused(spec: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="it contains: nothing"):
        load_adapter(tmp_path / "missing")
    with pytest.raises(NotFound, match=r"No adapter found .*model\.safetensors"):
        load_adapter(Path(spec.removeprefix("path:")))


@pytest.mark.parametrize("name", ["task.json", "adapter_config.json", "adapter_model.safetensors"])
def test_damaged_adapter_is_refused(spec: str, tmp_path: Path, name: str) -> None:
    folder = tiny_adapter(tmp_path / "adapter", spec)
    (folder / name).write_bytes((folder / name).read_bytes()[:50])
    with pytest.raises(BadInput) as error:
        load_adapter(folder, dtype="float32")
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_uploaded_files_contain_no_path_of_the_machine(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINETUNE_DATA_DIR", str(tmp_path / "var"))
    data, run = tmp_path / "train.csv", tmp_path / "run"
    rows = [f"reset the password of bob {i},{('good', 'bad')[i % 2]}" for i in range(12)]
    data.write_text("\n".join(["description,section", *rows]))
    words = ["--data", str(data), "--columns", "text=description,label=section", "--no-track"]
    words += ["--base", spec, "--max-steps", "1", "--output", str(run)]
    assert CliRunner().invoke(app, ["train", *words]).exit_code == 0
    (upload,) = re.findall("hf upload .*", README.read_text())
    kept_here = shlex.split(upload)[4:]
    files = {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file()}
    uploaded = {
        name: content
        for name, content in files.items()
        if not any(fnmatch(name, pattern) for pattern in kept_here)
    }
    assert {"task.json", "adapter_config.json"} < uploaded.keys()
    for private in (str(tmp_path), spec.removeprefix("path:"), str(Path.home())):
        assert [name for name, content in uploaded.items() if private.encode() in content] == []
    # What continues from the run on this machine still finds its base and its data.
    assert load_adapter(run).spec == spec
    assert training_data(read_task(run)) == load_dataset(data, columns=words[3])
