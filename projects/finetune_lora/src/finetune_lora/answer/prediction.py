"""The interface between a model, or a baseline, and its evaluation. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from finetune_lora.example import Example

ADAPTER, SERVED = "adapter", "served"
"""Names of the trained model as torch runs it, and as it is served after its export."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer, the seconds it took, and for classification the probability of each label.

    `constrained` means that a language model could generate nothing but valid answers.
    """

    text: str
    seconds: float = 0.0
    scores: Mapping[str, float] | None = None
    constrained: bool = False


class Predictor(Protocol):
    """Answers examples without looking at their last message; one prediction each, in order."""

    name: str

    def answer(
        self, examples: Sequence[Example], *, max_new_tokens: int = 128
    ) -> list[Prediction]: ...
