"""Adapter and base as one model, which needs no PEFT to load."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from finetune_lora.model.adapter import CONFIG_FILE, load_adapter
from finetune_lora.model.base import Base, load_base
from seedbed.errors import BadInput, SeedbedError

_TOLERANCE = 1e-3
"""How far a merged model's logits may be from the adapter's, as a share of the largest logit."""


def load_merged(source: Path, adapter: Base | None = None, *, must_be_adapter: bool) -> Base:
    """The adapter in `source` merged into its base, or a folder of weights as it is, in float32.

    `adapter` is that adapter if it is loaded already; a copy of it is merged. Takes four bytes of
    memory a parameter. Raises NotFound or BadInput for a folder without a model.
    """
    if adapter is not None:
        model = copy.deepcopy(adapter.model).float()
        return replace(adapter, model=_merged(model))
    if must_be_adapter or (source / CONFIG_FILE).exists():
        loaded = load_adapter(source, dtype="float32")
        return replace(loaded, model=_merged(loaded.model))
    if not (source / "config.json").exists():
        raise BadInput(
            f"{source} does not contain a model: config.json is missing.",
            hint="Use the folder of an adapter, or one written by `--to merged`.",
        )
    return load_base(f"path:{source}", dtype="float32")


def _merged(model: Any) -> Any:
    """The model with the adapter added in, checked against the adapter on one row of tokens.

    The check detects what merging loses silently, such as an adapter on tied embeddings.
    """
    ids = torch.arange(1, 17).unsqueeze(0) % model.config.vocab_size
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        merged = model.merge_and_unload(safe_merge=True)
        after = merged(input_ids=ids).logits
    error = float((before - after).abs().max() / before.abs().max())
    if not error <= _TOLERANCE:
        raise SeedbedError(
            f"The merged model's logits differ from the adapter's by {error:.1%} of the "
            "largest logit.",
            hint="Train with --targets all-linear, which does not change the embeddings.",
        )
    return merged
