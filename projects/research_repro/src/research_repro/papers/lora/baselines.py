"""What LoRA is compared with (section 5.1). Each method prepares a model for `method.train`.

    prepare(model, "lora", {"targets": ["q_proj", "v_proj"], "rank": 4, "alpha": 32})
    prepare(model, "adapter", {"width": 8})  # or full, bitfit, prefix

All work on TinyGPT, Llama and GPT-2, and return the number of trainable parameters.
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

_BLOCK = re.compile(r"\b(blocks|layers|h)\.\d+\.")
_ATTENTION = re.compile(r"\.\d+\.(attention|self_attn|attn)$")
# The last linear layers of attention and MLP, whose outputs are added to the residual stream.
_OUTPUT = re.compile(r"\.(attention\.output|mlp\.down|o_proj|down_proj|c_proj)$")


def prepare(model: nn.Module, method: str, settings: Mapping[str, Any]) -> int:
    """Prepare a model for a method by its name; raises BadInput for an unknown one."""
    methods: dict[str, Callable[..., int]] = {"full": prepare_full, "lora": add_lora}
    methods |= {"bitfit": prepare_bitfit, "adapter": prepare_adapters, "prefix": prepare_prefix}
    if method not in methods:
        raise BadInput(f"Unknown method {method!r}.", hint=f"Available: {', '.join(methods)}.")
    return methods[method](model, **settings)


def prepare_full(model: nn.Module) -> int:
    """Fine-tuning (FT): all parameters are trained."""
    return _trainable(model.requires_grad_(True))


def prepare_bitfit(model: nn.Module) -> int:
    """Bias-only (BitFit, Zaken et al. 2021): all bias vectors are trained.

    Llama and SmolLM2 have none: linear layers in their blocks get biases of zero, added here.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear) and layer.bias is None and _BLOCK.search(name):
            layer.bias = nn.Parameter(layer.weight.new_zeros(layer.out_features))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith("bias"))
    return _trainable(model)


class Adapted(nn.Module):
    """A layer and its adapter: h + W_up gelu(W_down h + b_down) + b_up."""

    def __init__(self, layer: nn.Module, width: int, generator: torch.Generator) -> None:
        super().__init__()
        weight = layer.get_parameter("weight")
        size = weight.shape[type(layer).__name__ == "Conv1D"]  # whose weight is transposed
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


class Prefix(nn.Module):
    """Keys and values (heads, length, size) before those of the tokens."""

    def __init__(self, heads: int, length: int, size: int, generator: torch.Generator) -> None:
        super().__init__()
        key, value = (torch.randn(heads, length, size, generator=generator) for _ in "kv")
        self.key, self.value = nn.Parameter(0.02 * key), nn.Parameter(0.02 * value)

    def forward(self, key: Tensor, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values (B, heads, T, size) and mask (B or 1, 1, queries, T), longer by `length`."""
        pairs = ((self.key, key), (self.value, value))
        key, value = (torch.cat([p.to(x.dtype).expand(len(x), -1, -1, -1), x], 2) for p, x in pairs)
        return key, value, F.pad(mask, (self.key.shape[1], 0), value=True)


def prepare_prefix(model: Any, length: int, seed: int = 0) -> int:
    """Prefix tuning of every layer (PreLayer; Li & Liang 2021), without their MLP in training.

    Trained are the keys and values of `length` prefix positions: |Θ| = 2 × L × d_key × length,
    where the paper trains the activations that they result from. No token's position changes.
    """
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    config = getattr(model, "config", None)  # of transformers; TinyGPT has none
    for name, attention in list(model.named_modules()):
        if _ATTENTION.search(name) and config:
            heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
            attention.prefix = Prefix(heads, length, attention.head_dim, generator)
        elif _ATTENTION.search(name):
            size = attention.key.out_features // attention.heads
            prefix = Prefix(attention.heads, length, size, generator)
            model.set_submodule(name, _PrefixedTinyAttention(attention, prefix))
    if config:
        _register_prefix_attention()
        model.set_attn_implementation("prefix")
    model.to(next(model.parameters()).device)
    return _trainable(model)


class _PrefixedTinyAttention(nn.Module):
    """TinyGPT's attention, with the prefix as if it were in the cache."""

    def __init__(self, attention: nn.Module, prefix: Prefix) -> None:
        super().__init__()
        self.attention, self.prefix = attention, prefix

    def forward(self, x: Tensor, mask: Tensor | None, cache: Any, layer: int) -> Tensor:
        heads, length, size = self.prefix.key.shape
        empty = x.new_zeros(len(x), heads, 0, size)
        key, value = cache[layer] if cache and layer in cache else (empty, empty)
        if mask is None:
            mask = x.new_ones(1, 1, x.shape[1], x.shape[1], dtype=torch.bool).tril()
        key, value, mask = self.prefix(key, value, mask)
        extended = {layer: (key, value)}
        h: Tensor = self.attention(x, mask, extended, layer)
        if cache is not None:
            cache[layer] = tuple(part[:, :, length:] for part in extended[layer])
        return h


def _register_prefix_attention() -> None:
    """Attention with a prefix, as an implementation that transformers calls by its name."""
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    def attend(module: Any, query: Tensor, *key_value_mask: Tensor, **options: Any) -> Any:
        return sdpa_attention_forward(module, query, *module.prefix(*key_value_mask), **options)

    def full_mask(*sizes: Any, **options: Any) -> Tensor | None:
        return sdpa_mask(*sizes, **{**options, "allow_is_causal_skip": False})

    AttentionInterface.register("prefix", attend)
    AttentionMaskInterface.register("prefix", full_mask)


def _trainable(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
