"""A model as OpenVINO files, the form in which `seedbed` opens it fastest.

It goes through a GGUF, which OpenVINO reads; `seedbed.models.weights.ensure` converts it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from finetune_lora.example import Example
from finetune_lora.export.folders import export_folder, unwritable
from finetune_lora.export.gguf import BESIDE, Type, merged, to_gguf
from seedbed.errors import BadInput

_PROBE = "Order A-2211: 3 × 12.50 €,\n\n  it's DON'T  re-opened?! naïve 日本\t(x_1) <|im_end|>"


def to_openvino(
    source: Path,
    out: Path,
    *,
    type: Type = "Q8_0",
    examples: Sequence[Example] = (),
    force: bool = False,
) -> Path:
    """Write `source` into the folder `out`, which is returned: a `path:` spec for any project.

    `source` is an adapter, a merged folder, a .gguf file or a folder with one; a GGUF keeps its own
    types, anything else gets `type`, chosen on `examples` (see `to_gguf`). Raises BadInput where
    OpenVINO would read the text differently than the model was trained to, and what `to_gguf`
    raises.
    """
    facts = {"kind": "openvino", "source": str(source), "type": type}
    files = [source] if source.suffix == ".gguf" else sorted(source.glob("*.gguf"))
    with export_folder(out, facts, force=force) as scratch:
        if files:
            facts["type"] = files[0].stem
            _convert(files[0], files[0].parent, scratch)
            return out
        with merged(source, scratch) as folder:
            path = to_gguf(folder, scratch / "gguf", type=type, examples=examples)
            _convert(path, folder, scratch)
            shutil.rmtree(path.parent)
    return out


def _convert(path: Path, beside: Path, out: Path) -> None:
    from seedbed.models.weights.ensure import gguf_to_openvino

    if not path.is_file():
        raise BadInput(f"File not found: {path}.", hint="Check the path.")
    try:
        gguf_to_openvino(path.resolve(), out)
    except RuntimeError as error:  # all that OpenVINO raises, whatever the reason
        reason = str(error).strip().rpartition("\n")[2]
        if "the file is truncated" in reason:
            raise unwritable(out, reason) from error
        raise BadInput(
            f"OpenVINO cannot convert {path.name}: {reason}.",
            hint="Check that the file is intact and the disk has free space.",
        ) from error
    for name in BESIDE:
        if (beside / name).exists():
            shutil.copyfile(beside / name, out / name)
    if (beside / "tokenizer.json").exists():
        same_tokens(beside, out)


def same_tokens(folder: Path, exported: Path) -> None:
    """BadInput unless the OpenVINO files in `exported` split text like the tokenizer of `folder`.

    OpenVINO silently replaces an unsupported splitting rule by a rule of its own.
    """
    import openvino_genai
    from transformers import AutoTokenizer

    expected = AutoTokenizer.from_pretrained(folder).encode(_PROBE, add_special_tokens=False)
    tensor = openvino_genai.Tokenizer(str(exported)).encode(_PROBE, add_special_tokens=False)
    if tensor.input_ids.data[0].tolist() != expected:
        raise BadInput(
            "OpenVINO's tokenizer splits text differently from the one the model was trained with.",
            hint="Export with --to gguf for llama.cpp, or with --to merged for vLLM.",
        )
