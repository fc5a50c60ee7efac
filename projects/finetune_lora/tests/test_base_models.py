"""Base models: loaded in a type, and refused before loading if memory is short."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from finetune_fakes import tiny_base

from finetune_lora.model.base import check_memory
from seedbed.errors import TooLarge


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", None])
def test_memory_is_checked_before_loading(tmp_path: Path, dtype: str | None) -> None:
    tiny_base(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config = {k: v for k, v in config.items() if k not in ("dtype", "torch_dtype")}
    (tmp_path / "config.json").write_text(json.dumps(config | ({"dtype": dtype} if dtype else {})))
    check_memory(tmp_path, "tiny", bytes_per_weight=4)
    os.truncate(tmp_path / "model.safetensors", 10**13)  # of holes
    with pytest.raises(TooLarge, match=r"'huge' needs about \d+\.\d GB of memory"):
        check_memory(tmp_path, "huge", bytes_per_weight=4)
