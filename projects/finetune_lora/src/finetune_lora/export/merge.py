"""Adapter and base as one model: a Hugging Face folder that needs no PEFT to load."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from finetune_lora.export.folders import export_folder, unwritable
from seedbed.errors import BadInput, SeedbedError

Dtype = Literal["bfloat16", "float32"]
_TOLERANCE = 1e-3
"""How far a merged model's logits may be from the adapter's, as a part of the largest logit."""


def merge(
    adapter: Path, out: Path, *, dtype: Dtype = "bfloat16", force: bool = False, base: str = ""
) -> Path:
    """Write the adapter's merged model to the folder `out`, which is returned.

    The sum is made in float32 (four bytes of memory a parameter) and rounded to `dtype` once. The
    folder has weights, tokenizer, chat template and generation config. Raises BadInput for a folder
    without an adapter or an `out` with other files, DiskError when the disk is full.
    """
    import torch

    from finetune_lora.model.adapter import load_adapter

    if dtype not in get_args(Dtype):
        raise BadInput(f"Unknown dtype {dtype!r}.", hint=f"Use {' or '.join(get_args(Dtype))}.")
    loaded = load_adapter(adapter, base=base or None, dtype="float32")
    facts = {"kind": "merged", "source": str(adapter), "base": loaded.spec, "dtype": dtype}
    with export_folder(out, facts, force=force) as scratch:
        model = _merged(loaded.model).to(getattr(torch, dtype))
        _save(model, loaded.tokenizer, scratch)
    return out


def is_adapter(folder: Path) -> bool:
    """Whether PEFT wrote the folder."""
    return (folder / "adapter_config.json").exists()


def _merged(model: Any) -> Any:
    """The model with the adapter added in, checked against the adapter on one row of tokens.

    The check detects what merging loses silently, such as an adapter on tied embeddings.
    """
    import torch

    ids = torch.arange(1, 17).unsqueeze(0) % model.config.vocab_size
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        merged = model.merge_and_unload(safe_merge=True)
        after = merged(input_ids=ids).logits
    off = float((before - after).abs().max() / before.abs().max())
    if not off <= _TOLERANCE:
        raise SeedbedError(
            f"The merged model's logits differ from the adapter's by {off:.1%} of the "
            "largest logit.",
            hint="Train with --targets all-linear, which does not change the embeddings.",
        )
    return merged


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    from safetensors import SafetensorError

    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except SafetensorError as error:  # raised when the disk is full
        raise unwritable(folder, str(error)) from error
