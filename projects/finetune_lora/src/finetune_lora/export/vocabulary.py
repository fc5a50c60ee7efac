"""A byte-level BPE tokenizer as a GGUF's metadata: tokens, their types, merges, splitting rule.

It reads `tokenizer.json`. A GGUF has no splitting rule, only the name of one that every reader has
built in, so a rule without a name cannot be written.
"""

from __future__ import annotations

import json
from typing import Any

import gguf

from finetune_lora.model.base import Base
from seedbed.errors import BadInput

_CONVERTER = "https://github.com/ggml-org/llama.cpp/blob/master/convert_hf_to_gguf.py"
_CASELESS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"  # how the splitting rules of Llama 3 and Qwen begin


def refuse(what: str) -> BadInput:
    """The error for a model that this project cannot write, with the converter to use."""
    return BadInput(
        f"Cannot write a GGUF: {what}.", hint=f"Try llama.cpp's converter: {_CONVERTER}"
    )


def add_vocabulary(writer: Any, base: Base, size: int) -> None:
    """Add the tokenizer in the model's folder to a GGUFWriter, filled up to `size` tokens.

    Raises BadInput if it is not byte-level BPE, or splits words by an unsupported rule.
    """
    path = base.folder / "tokenizer.json"
    if not path.exists():
        raise refuse(f"{base.folder} does not contain tokenizer.json")
    data = json.loads(path.read_text("utf-8"))
    model = data["model"]
    if model["type"] != "BPE" or model.get("byte_fallback"):
        raise refuse("the tokenizer is not byte-level BPE")
    tokens = [f"[PAD{index}]" for index in range(size)]
    types = [gguf.TokenType.UNUSED] * size
    for token, index in model["vocab"].items():
        tokens[index], types[index] = token, gguf.TokenType.NORMAL
    for added in data["added_tokens"]:
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        tokens[added["id"]], types[added["id"]] = added["content"], kind
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitting(data["pre_tokenizer"]))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    special = gguf.SpecialVocab(base.folder, load_merges=True)
    first = base.tokenizer("a").input_ids[0]
    special.add_special_token = {"bos": first == base.tokenizer.bos_token_id}
    special.add_to_gguf(writer, quiet=True)
    writer.add_add_space_prefix(False)


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
