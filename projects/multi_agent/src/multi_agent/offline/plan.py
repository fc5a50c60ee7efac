"""Cuts a task into its questions, and those into steps that use each other's answers.

make_plan("What is 15 % of the total price?", specialist_of, last="researcher")
# s1 analyst "What is the total price?", s2 calculator "What is 15 % of {s1}?"
"""

from __future__ import annotations

import re
from collections.abc import Callable

from multi_agent.brain import Refusal
from multi_agent.runs.state import Step

REFERENCES = {
    r"(?:what is|how much is) (?P<p>[\d.]+ ?(?:%|percent)) of (?P<inner>(?!\d).+?)\??": (
        "What is {p} of {answer}?"
    ),
    r"(?:what is|how much is) (?P<inner>.+?) after a discount of (?P<p>[\d.]+ ?(?:%|percent))\??": (
        "What is {answer} after a discount of {p}?"
    ),
    r"add (?P<p>[\d.]+ ?(?:%|percent)) to (?P<inner>(?!\d).+?)\.?": "Add {p} to {answer}",
}
"""Calculations with the answer to another question, beside what is left to compute."""
_WH = r"(?:(?:after|at|by|for|from|in|on|to|until|within) )?(?:how|what|when|where|which|who)\b"
_CUT = re.compile(
    rf"(?<=\?)\s+|[,;]\s+(?:and )?(?={_WH})| and (?={_WH}|do(?:es)? |can )", re.IGNORECASE
)


def make_plan(task: str, specialist_of: Callable[[str], str], last: str) -> tuple[Step, ...]:
    """The steps of a task; `specialist_of` a question raises Refusal where there is none.

    Questions that are refused are left to the `last` specialist if others are not, so that the
    answer names them.
    """
    steps: list[Step] = []
    refusals: list[Refusal] = []
    for text in clauses(task):
        try:
            steps += _steps(text, len(steps) + 1, specialist_of)
        except Refusal as refusal:
            refusals.append(refusal)
            steps.append(Step(id=f"s{len(steps) + 1}", specialist=last, task=text))
    if len(refusals) == len(steps):
        raise refusals[0] if refusals else Refusal("There is no question.")
    return tuple(steps)


def _steps(text: str, number: int, specialist_of: Callable[[str], str]) -> list[Step]:
    """One step, or one for a question and one for a calculation with its answer."""
    try:
        return [Step(id=f"s{number}", specialist=specialist_of(text), task=text)]
    except Refusal:
        match = next((m for p in REFERENCES if (m := re.fullmatch(p, text, re.IGNORECASE))), None)
        if match is None:
            raise
    question = f"What is {match['inner']}?"
    first = Step(id=f"s{number}", specialist=specialist_of(question), task=question)
    task = REFERENCES[match.re.pattern].format(p=match["p"], answer=f"{{s{number}}}")
    id = f"s{number + 1}"
    return [first, Step(id=id, specialist="calculator", task=task, after=(first.id,))]


def clauses(task: str) -> list[str]:
    """The questions of a task, in their order.

    >>> clauses("How many orders came in May, and how long is the return window?")
    ['How many orders came in May', 'how long is the return window?']
    >>> clauses("A train needs 2 hours for 150 km. How fast is it?")
    ['A train needs 2 hours for 150 km. How fast is it?']
    """
    return [part.strip(" ,;") for part in _CUT.split(task) if part.strip(" ,;")]
