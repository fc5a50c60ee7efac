"""Base models: found, checked before they are loaded, named by their weights."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from finetune_fakes import tiny_base

from finetune_lora.model.base import check_memory, load_base, load_tokenizer
from seedbed.errors import BadInput, TooLarge, WeightsError
from seedbed.models.weights.hf_folder import fingerprint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base")
    tiny_base(path)
    return path


def test_it_loads_in_the_type_asked_for(folder: Path) -> None:
    for dtype in ("float32", "bfloat16"):
        base = load_base(f"path:{folder}", dtype=dtype)
        assert str(base.model.dtype) == f"torch.{dtype}"
    assert (base.folder, base.hash) == (folder, fingerprint(folder))


def test_without_a_chat_template(tmp_path: Path) -> None:
    tiny_base(tmp_path, template=False)
    with pytest.raises(BadInput, match=r"no chat template.*chat_template\.jinja"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", None])
def test_memory_is_checked_before_loading(folder: Path, tmp_path: Path, dtype: str | None) -> None:
    huge = tmp_path / "huge"
    shutil.copytree(folder, huge)
    config = json.loads((huge / "config.json").read_text())
    for name in ("dtype", "torch_dtype"):
        config.pop(name, None)
    (huge / "config.json").write_text(json.dumps({**config, **({"dtype": dtype} if dtype else {})}))
    check_memory(huge, "tiny", bytes_per_weight=4)
    os.truncate(huge / "model.safetensors", 10**13)  # of holes
    with pytest.raises(TooLarge, match=r"'huge' needs about \d+\.\d GB of memory"):
        check_memory(huge, "huge", bytes_per_weight=4)
    (huge / "config.json").write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json is corrupt"):
        check_memory(huge, "huge", bytes_per_weight=4)
