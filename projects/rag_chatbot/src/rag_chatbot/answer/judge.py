"""Lets the model decide about sentences that the comparison of words could not confirm.

    judge(model, question, [("Old logs are removed.", "Old logs are deleted.")])    # ["supported"]

One structured call for all of them, whose reply is validated. What follows from a verdict is
decided in `write`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, Field

from seedbed.models.prompts import as_data, load_prompt
from seedbed.models.structured_reply import structured_reply

Verdict = Literal["supported", "contradicted", "not stated"]


class Judgement(BaseModel):
    """The verdict on one sentence."""

    number: int = Field(description="The number of the sentence.")
    verdict: Verdict


class Judgements(BaseModel):
    """The verdicts on all sentences, in order."""

    judgements: list[Judgement]


def judge(
    model: BaseChatModel, question: str, pairs: Sequence[tuple[str, str]], **options: Any
) -> list[Verdict]:
    """The verdict on each pair of a sentence and its evidence.

    Raises a ModelError if the model fails, or leaves out a sentence twice.
    """
    numbers = list(range(1, len(pairs) + 1))
    listed = "\n\n".join(
        f"{number}. {sentence}\nQuote: {evidence}"
        for number, (sentence, evidence) in zip(numbers, pairs, strict=True)
    )
    prompt = load_prompt("rag_chatbot", "judge").render(
        question=question, sentences=as_data(listed, "sentences")
    )

    def problem(reply: Judgements) -> str | None:
        actual = [judgement.number for judgement in reply.judgements]
        return None if actual == numbers else f"The numbers must be {numbers}, not {actual}."

    reply = structured_reply(model, prompt, Judgements, check=problem, **options)
    return [judgement.verdict for judgement in reply.judgements]
