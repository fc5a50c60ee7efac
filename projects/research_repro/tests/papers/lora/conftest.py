"""A small random model that LoRA is added to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from research_repro.runs.workspace import Workspace

WORDS = 61


def make_model() -> Any:
    """The same weights at each call; two layers, 32 wide, without dropout."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, **sizes, **heads)).eval()


def make_batch(step: int) -> dict[str, Tensor]:
    """Four sequences of twelve tokens; the last seven are targets, with padding in one of them."""
    generator = torch.Generator().manual_seed(step)
    ids = torch.randint(1, WORDS, (4, 12), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, 9:] = 0
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :5] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@torch.no_grad()
def logits(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Logits (B, T, V)."""
    result: Tensor = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return result


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace in an empty folder."""
    return Workspace(tmp_path / "run", tmp_path / "cache")
