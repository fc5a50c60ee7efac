"""What LoRA is compared with (section 5.1). Each method prepares a model for `method.train`.

    prepare(model, "lora", {"targets": ["q_proj", "v_proj"], "rank": 4, "alpha": 32})
    prepare(model, "adapter", {"width": 8})  # or full

All work on TinyGPT and Llama, and return the number of trainable parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research_repro.papers.lora.method import add_lora
from seedbed.errors import BadInput

_BLOCK = re.compile(r"\b(blocks|layers)\.\d+\.")
# The last linear layers of attention and MLP, whose outputs are added to the residual stream.
_OUTPUT = re.compile(r"\.(attention\.output|mlp\.down|o_proj|down_proj)$")


def prepare(model: nn.Module, method: str, settings: Mapping[str, Any]) -> int:
    """Prepare a model for a method by its name; raises BadInput for an unknown one."""
    methods: dict[str, Callable[..., int]] = {"full": prepare_full, "lora": add_lora}
    methods |= {"adapter": prepare_adapters}
    if method not in methods:
        raise BadInput(f"Unknown method {method!r}.", hint=f"Available: {', '.join(methods)}.")
    return methods[method](model, **settings)


def prepare_full(model: nn.Module) -> int:
    """Fine-tuning (FT): all parameters are trained."""
    return _trainable(model.requires_grad_(True))


class Adapted(nn.Module):
    """A layer and its adapter: h + W_up gelu(W_down h + b_down) + b_up."""

    def __init__(self, layer: nn.Module, width: int, generator: torch.Generator) -> None:
        super().__init__()
        weight = layer.get_parameter("weight")
        size = weight.shape[0]
        self.layer, self.down, self.up = layer, nn.Linear(size, width), nn.Linear(width, size)
        for linear in (self.down, self.up):
            nn.init.normal_(linear.weight, std=0.01, generator=generator)  # near identity
            nn.init.zeros_(linear.bias)
        self.to(weight)

    def forward(self, x: Tensor) -> Tensor:
        """(…, d_in) -> (…, d_model)"""
        h = self.layer(x)
        adapted: Tensor = h + self.up(F.gelu(self.down(h)))
        return adapted


def prepare_adapters(model: nn.Module, width: int, seed: int = 0) -> int:
    """Adapter^H (Houlsby et al. 2019): two per block, after attention and after the MLP.

    With r = `width`, |Θ| = L_Adpt × (2 × d_model × r + r + d_model) + 2 × L_LN × d_model: the norms
    of the blocks are trained too (section 5.1). Llama's have no bias and count d_model.
    """
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, layer in list(model.named_modules()):
        if _BLOCK.search(name) and type(layer).__name__.endswith("Norm"):
            layer.requires_grad_(True)
        if _OUTPUT.search(name):
            model.set_submodule(name, Adapted(layer, width, generator))
    return _trainable(model)


def _trainable(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
