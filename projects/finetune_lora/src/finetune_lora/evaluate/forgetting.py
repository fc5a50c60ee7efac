"""What an adapter costs in general ability: questions with choices, and the loss of plain text.

The 40 questions and 24 texts are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from seedbed.files import read_json_lines
from seedbed.runs.evaluation import paired_bootstrap, wilson_interval


class Scorer(Protocol):
    """A language model that computes the likelihood of a continuation of a prompt."""

    def log_likelihood(self, prompt: str, continuation: str) -> tuple[float, int]:
        """(sum of the natural logarithms, number of tokens of the continuation)."""
        ...


@dataclass(frozen=True)
class General:
    """Questions as (question, choices, index of the right one), and texts."""

    questions: tuple[tuple[str, tuple[str, ...], int], ...]
    texts: tuple[str, ...]


def general_set() -> General:
    """The set in general.jsonl: a line is {"question", "choices", "answer"} or {"text"}.

    `answer` is the index of the right choice.
    """
    rows = [row for _, row in read_json_lines(Path(__file__).with_name("general.jsonl"))]
    questions = [(r["question"], tuple(r["choices"]), r["answer"]) for r in rows if "text" not in r]
    return General(tuple(questions), tuple(row["text"] for row in rows if "text" in row))


@dataclass(frozen=True)
class Forgetting:
    """One scorer's outcomes: right (1.0) or wrong for each question, loss for each text."""

    right: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def choice_accuracy(self) -> float:
        return sum(self.right) / len(self.right) if self.right else 0.0

    @property
    def loss_per_token(self) -> float:
        """The mean over the texts of each text's nats per token."""
        return math.fsum(self.losses) / len(self.losses) if self.losses else 0.0

    def as_json(self) -> dict[str, Any]:
        """{"choice_accuracy", "interval", "n_questions", "loss_per_token", "n_texts"}."""
        return {
            "choice_accuracy": self.choice_accuracy,
            "interval": list(wilson_interval(int(sum(self.right)), len(self.right))),
            "n_questions": len(self.right),
            "loss_per_token": self.loss_per_token,
            "n_texts": len(self.losses),
        }


def forgetting(scorer: Scorer, general: General | None = None) -> Forgetting:
    """Score the general set: the choice with the highest log-likelihood per token is the answer.

    A loss that is not finite counts as it is: a broken model shows as one.
    """
    general = general or general_set()
    right = []
    for question, choices, answer in general.questions:
        prompt = f"Question: {question}\nAnswer:"
        scores = [_per_token(scorer, prompt, f" {choice}") for choice in choices]
        # max() over NaN keeps whatever comes first, which would count as a choice made.
        best = max(scores) if all(map(math.isfinite, scores)) else None
        right.append(float(best is not None and scores.index(best) == answer))
    losses = tuple(-_per_token(scorer, "", text) for text in general.texts)
    return Forgetting(tuple(right), losses)


def _per_token(scorer: Scorer, prompt: str, continuation: str) -> float:
    total, tokens = scorer.log_likelihood(prompt, continuation)
    return total / max(1, tokens)


def compare(base: Forgetting, adapter: Forgetting) -> dict[str, Any]:
    """{"base", "adapter", "differences": {"choice_accuracy", "loss_per_token"}}.

    A difference is adapter - base, over the same questions or texts: {"difference", "low", "high",
    "n"}; None if there are none, or a loss is not finite.
    """
    return {
        "base": base.as_json(),
        "adapter": adapter.as_json(),
        "differences": {
            "choice_accuracy": _difference(adapter.right, base.right),
            "loss_per_token": _difference(adapter.losses, base.losses),
        },
    }


def _difference(a: Sequence[float], b: Sequence[float]) -> dict[str, float] | None:
    if not a or not all(map(math.isfinite, [*a, *b])):
        return None
    return asdict(paired_bootstrap(a, b))
