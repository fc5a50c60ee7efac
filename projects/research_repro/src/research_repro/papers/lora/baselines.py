"""What LoRA is compared with: fine-tuning. Each method prepares a model for `method.train`.

prepare(model, "lora", {"targets": ["q_proj", "v_proj"], "rank": 4, "alpha": 32})
prepare(model, "full", {})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from research_repro.papers.lora.method import add_lora


def prepare(model: nn.Module, method: str, settings: Mapping[str, Any]) -> int:
    """Prepare a model for "lora" or "full"; returns the number of trainable parameters."""
    if method == "lora":
        return add_lora(model, **settings)
    return sum(p.numel() for p in model.requires_grad_(True).parameters())
