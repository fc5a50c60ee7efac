"""What an adapter costs in general ability: questions with choices, and the loss of plain text.

The 40 questions and 24 texts are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seedbed.files import read_json_lines
from seedbed.runs.evaluation import paired_bootstrap

LogLikelihood = Callable[[str, str], tuple[float, int]]
"""From a prompt and its continuation to (sum of the natural logarithms, number of tokens)."""


def general_set() -> list[dict[str, Any]]:
    """The rows of general.jsonl: {"question", "choices", "answer"} or {"text"}.

    `answer` is the index of the right choice.
    """
    return [row for _, row in read_json_lines(Path(__file__).with_name("general.jsonl"))]


def forgetting(
    base: LogLikelihood, adapter: LogLikelihood, rows: Iterable[Mapping[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """`choice_accuracy`, and `loss_per_token` in nats: both models, and adapter - base.

    Each is {"base", "adapter", "difference", "low", "high", "n"}, a mean over questions or texts;
    it is missing without any. A model answers with the choice that is most likely per token.
    """
    rows = list(general_set() if rows is None else rows)
    questions = [row for row in rows if "choices" in row]
    texts = [row["text"] for row in rows if "text" in row]
    measures = {}
    if questions:
        right = [[_is_right(model, row) for row in questions] for model in (base, adapter)]
        measures["choice_accuracy"] = _compare(*right)
    if texts:
        losses = [[-_per_token(model, "", text) for text in texts] for model in (base, adapter)]
        measures["loss_per_token"] = _compare(*losses)
    return measures


def _is_right(model: LogLikelihood, row: Mapping[str, Any]) -> float:
    prompt = f"Question: {row['question']}\nAnswer:"
    scores = [_per_token(model, prompt, f" {choice}") for choice in row["choices"]]
    # max() over NaN returns whatever comes first, which would count as a choice.
    return float(math.isfinite(sum(scores)) and scores.index(max(scores)) == row["answer"])


def _per_token(model: LogLikelihood, prompt: str, continuation: str) -> float:
    total, tokens = model(prompt, continuation)
    return total / max(1, tokens)


def _compare(base: Sequence[float], adapter: Sequence[float]) -> dict[str, Any]:
    """A loss that is not finite stays so in all figures: a broken model shows as one."""
    means = {"base": sum(base) / len(base), "adapter": sum(adapter) / len(adapter)}
    return means | asdict(paired_bootstrap(adapter, base))
