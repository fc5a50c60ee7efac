"""A byte-level BPE tokenizer as a GGUF's metadata: tokens, their types, merges, splitting rule.

It reads `tokenizer.json`. A GGUF has no splitting rule, only the name of one that every reader has
built in, so a rule without a name cannot be written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from seedbed.errors import BadInput

_CONVERTER = "https://github.com/ggml-org/llama.cpp/blob/master/convert_hf_to_gguf.py"
_CASELESS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # how the splitting rules of Llama 3 and Qwen begin


def refuse(what: str) -> BadInput:
    """The error for a model that this project cannot write, with the converter to use."""
    return BadInput(
        f"Cannot write a GGUF: {what}.", hint=f"Try llama.cpp's converter: {_CONVERTER}"
    )


def add_vocabulary(writer: Any, folder: Path, size: int) -> None:
    """Add the tokenizer of `folder` to a GGUFWriter, filled up to `size` tokens.

    Raises BadInput for a tokenizer other than byte-level BPE or splits words in an unknown way.
    """
    from gguf import TokenType
    from transformers import AutoTokenizer

    path = folder / "tokenizer.json"
    if not path.exists():
        raise refuse(f"{folder} does not contain tokenizer.json")
    data = json.loads(path.read_text("utf-8"))
    model = data["model"]
    if model["type"] != "BPE" or model.get("byte_fallback"):
        raise refuse(f"the tokenizer is {model['type']}, not byte-level BPE")
    tokens = [f"[PAD{index}]" for index in range(size)]
    types = [TokenType.UNUSED] * size
    for token, index in model["vocab"].items():
        tokens[index], types[index] = token, TokenType.NORMAL
    for added in data["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitting(data["pre_tokenizer"]))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    merges = model["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    _add_special(writer, AutoTokenizer.from_pretrained(folder))


def _add_special(writer: Any, tokenizer: Any) -> None:
    for add, index in (
        (writer.add_bos_token_id, tokenizer.bos_token_id),
        (writer.add_eos_token_id, tokenizer.eos_token_id),
        (writer.add_unk_token_id, tokenizer.unk_token_id),
        (writer.add_pad_token_id, tokenizer.pad_token_id),
    ):
        if index is not None:
            add(index)
    first = tokenizer("a").input_ids[0]
    writer.add_add_bos_token(first == tokenizer.bos_token_id)
    writer.add_add_space_prefix(False)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _splitting(rule: dict[str, Any] | None) -> str:
    """The name that llama.cpp and OpenVINO have for a tokenizer's way to split text into words."""
    steps = (rule or {}).get("pretokenizers") or [rule or {}]
    kinds = [step.get("type") for step in steps]
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0]["individual_digits"]:
        return "smollm"
    if kinds == ["Split", "ByteLevel"]:
        pattern = steps[0]["pattern"].get("Regex", "")
        if pattern.startswith(_CASELESS) and r"|\p{N}{1,3}|" in pattern:
            return "llama-bpe"
        if pattern.startswith(_CASELESS) and r"|\p{N}|" in pattern:
            return "qwen2"
    raise refuse(f"unsupported pre-tokenizer ({', '.join(map(str, kinds))})")
