"""How long examples are for a model: counted as the trainer counts them."""

from __future__ import annotations

from collections.abc import Sequence

from finetune_lora.example import Example
from finetune_lora.model.encode import encode_one
from seedbed.models.weights.hf_folder import hf_folder
from seedbed.runs.evaluation import quantile
from seedbed.settings import Settings


def token_lengths(
    examples: Sequence[Example], base: str, settings: Settings | None = None
) -> list[int]:
    """Tokens of each example in the base's chat template, question and answer."""
    from finetune_lora.model.base import load_tokenizer

    tokenizer = load_tokenizer(hf_folder(base, settings), base)
    return [len(encode_one(tokenizer, example)) for example in examples]


def spread(lengths: Sequence[int]) -> dict[str, int]:
    """min, p50, p95, max and total; each percentile is a length that occurs."""
    if not lengths:
        return {"min": 0, "p50": 0, "p95": 0, "max": 0, "total": 0}
    return {
        "min": min(lengths),
        "p50": quantile(lengths, 0.5),
        "p95": quantile(lengths, 0.95),
        "max": max(lengths),
        "total": sum(lengths),
    }
