"""The brain without a model: each kind of question has templates, and everything else is refused.

    brain = OfflineBrain(workspace)
    brain.write_sql("How many orders are open?").sql

A template is a regular expression beside the SQL or the expression that it writes. A question with
a word that no template accounts for is refused, and the refusal names the word: a confident wrong
answer is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from multi_agent.brain import Attempt, Expression, Member, Progress, Query, Quote, Refusal
from multi_agent.data.passages import Passage
from multi_agent.offline.arithmetic import to_expression
from multi_agent.offline.quotes import best_quote
from multi_agent.offline.sql import write_query
from multi_agent.offline.tables import Table, read_tables
from multi_agent.offline.words import LeftOver
from multi_agent.runs.state import Result, Step
from multi_agent.specialists.researcher import PASSAGES
from multi_agent.tools.builtin import Workspace

ABILITIES = (
    "Without a model, this team counts, adds up, averages and looks up rows of one table, quotes a"
    " sentence, and computes a formula. Set SEEDBED_MODEL for anything else."
)
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


class OfflineBrain:
    """See `brain.Brain` for what the methods do. A second attempt would be like the first."""

    preamble = ""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @cached_property
    def _tables(self) -> list[Table]:
        database = self._workspace.database
        return [] if database is None else read_tables(database)

    def plan(self, task: str, team: Sequence[Member], progress: Progress) -> tuple[Step, ...]:
        """A step for each question of the task, or two if one computes with the other's answer.

        A question that is refused is left to a specialist if others are not, so that the answer
        names it.
        """
        if progress.plan:
            return ()
        names = [member.name for member in team]
        steps, refusals = list[Step](), list[Refusal]()
        for text in clauses(task):
            try:
                steps += self._steps(text, len(steps) + 1, names)
            except Refusal as refusal:
                refusals.append(refusal)
                fallback = "researcher" if "researcher" in names else "calculator"
                steps.append(Step(id=f"s{len(steps) + 1}", specialist=fallback, task=text))
        if len(refusals) == len(steps):
            raise refusals[0] if refusals else Refusal("There is no question.")
        return tuple(steps)

    def write_sql(self, question: str, failed: Attempt | None = None) -> Query:
        if failed:
            raise Refusal(failed.error)
        query = write_query(" ".join(question.split()).rstrip(" .?!"), self._tables)
        if query is None:
            raise Refusal(ABILITIES)
        return query

    def quote(self, question: str, passages: Sequence[Passage]) -> Quote:
        return best_quote(question, passages)

    def compute(self, task: str) -> Expression:
        return to_expression(task)

    def compose(self, task: str, results: Mapping[str, Result], problem: str = "") -> str:  # noqa: ARG002
        return "; ".join(one.answer for one in results.values())

    def complete(self, task: str, earlier: Sequence[str]) -> str:  # noqa: ARG002
        return task

    def _steps(self, text: str, number: int, names: Sequence[str]) -> list[Step]:
        try:
            return [Step(id=f"s{number}", specialist=self._specialist(text, names), task=text)]
        except Refusal:
            matches = (re.fullmatch(pattern, text, re.IGNORECASE) for pattern in REFERENCES)
            match = next(filter(None, matches), None)
            if match is None:
                raise
        question = f"What is {match['inner']}?"
        specialist, id = self._specialist(question, names), f"s{number}"
        first = Step(id=id, specialist=specialist, task=question)
        task = REFERENCES[match.re.pattern].format(p=match["p"], answer=f"{{{id}}}")
        return [first, Step(id=f"s{number + 1}", specialist="calculator", task=task, after=(id,))]

    def _specialist(self, text: str, names: Sequence[str]) -> str:
        """The first specialist that can answer. Raises the refusal that names a word, if any."""
        documents, refusals = self._workspace.documents, list[Refusal]()
        checks: dict[str, Callable[[], object]] = {
            "calculator": lambda: self.compute(text),
            "analyst": lambda: self.write_sql(text),
            "researcher": lambda: documents and self.quote(text, documents.search(text, PASSAGES)),
        }
        for name in [name for name in checks if name in names]:
            try:
                checks[name]()
            except Refusal as refusal:
                refusals.append(refusal)
            else:
                return name
        named = (refusal for refusal in refusals if isinstance(refusal, LeftOver))
        raise next(named, Refusal(ABILITIES))


def clauses(task: str) -> list[str]:
    """The questions of a task, in their order.

    >>> clauses("How many orders came in May, and how long is the return window?")
    ['How many orders came in May', 'how long is the return window?']
    >>> clauses("A train needs 2 hours for 150 km. How fast is it?")
    ['A train needs 2 hours for 150 km. How fast is it?']
    """
    return [part.strip(" ,;") for part in _CUT.split(task) if part.strip(" ,;")]
