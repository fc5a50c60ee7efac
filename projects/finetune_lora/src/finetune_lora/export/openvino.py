"""A model as OpenVINO files, the form in which `seedbed` opens it fastest.

It goes through a GGUF, which OpenVINO reads; `seedbed.models.weights.ensure` converts it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finetune_lora.export.gguf import write_gguf
from finetune_lora.model.base import Base
from seedbed.errors import BadInput
from seedbed.models.weights.ensure import gguf_to_openvino

_PROBE = "Order A-2211: 3 × 12.50 €,\n\n  it's DON'T  re-opened?! naïve 日本\t(x_1) <|im_end|>"


def write_openvino(base: Base, folder: Path, type: str) -> None:
    """Write the model (float32) and its tokenizer into `folder`.

    Raises BadInput where OpenVINO would read text differently than the model was trained to, and
    what `write_gguf` raises.
    """
    path = folder / "weights.gguf"
    write_gguf(base, path, type)
    try:
        gguf_to_openvino(path.resolve(), folder)
    except RuntimeError as error:  # all that OpenVINO raises, whatever the reason
        reason = str(error).strip().rpartition("\n")[2]
        raise BadInput(
            f"OpenVINO cannot convert the model: {reason}.",
            hint="Check that the disk has free space, or export with --to gguf.",
        ) from error
    path.unlink()
    same_tokens(base.tokenizer, folder)


def same_tokens(tokenizer: Any, exported: Path) -> None:
    """Raise BadInput unless the OpenVINO files in `exported` split text like `tokenizer`.

    OpenVINO silently replaces an unsupported splitting rule by a rule of its own.
    """
    import openvino_genai

    expected = tokenizer.encode(_PROBE, add_special_tokens=False)
    tensor = openvino_genai.Tokenizer(str(exported)).encode(_PROBE, add_special_tokens=False)
    if tensor.input_ids.data[0].tolist() != expected:
        raise BadInput(
            "OpenVINO's tokenizer splits text differently from the one the model was trained with.",
            hint="Export with --to gguf for llama.cpp, or with --to merged for vLLM.",
        )
