"""The brain without a model: plans by bids, parses questions, quotes spans, reads arithmetic.

    brain = OfflineBrain(workspace)
    brain.write_sql("How many orders are open?").sql

It refuses wherever a word is left over: a wrong answer given with confidence is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from multi_agent.brain import Attempt, Expression, Member, Progress, Query, Quote, Refusal
from multi_agent.documents.read import Passage
from multi_agent.offline.arithmetic import to_expression
from multi_agent.offline.plan.bids import Bids
from multi_agent.offline.plan.follow_up import complete
from multi_agent.offline.plan.planner import Planner
from multi_agent.offline.quotes.index_words import IndexWords
from multi_agent.offline.quotes.span import answer_span
from multi_agent.offline.sql.question import QuestionParser
from multi_agent.state import Result, Step
from multi_agent.tools.workspace import Workspace

_CODE = [
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        r"\b(?:run|execute|evaluate|output of|result of)\b[^`\n]{0,60}`([^`\n]+)`",
        r"\b(?:run|execute|evaluate)\b[^:\n]{0,40}\b(?:code|program|script|python)\b[^:\n]{0,20}:(.+)",
        r"\bpython\b[^:.\n]{0,40}:(.+)",
    )
]


class OfflineBrain:
    """See `brain.Brain` for what the methods do; a second attempt is the same as the first."""

    context = ""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @cached_property
    def _parser(self) -> QuestionParser:
        if self._workspace.database is None:
            raise Refusal("There is no database.")
        return QuestionParser(self._workspace.database)

    def plan(self, task: str, team: Sequence[Member], progress: Progress) -> tuple[Step, ...]:
        planner = Planner(Bids(self._parser_if_any, self._words, team))
        if progress.plan:
            return planner.replan(progress.plan, progress.results, progress.tries)
        if steps := planner.plan(task):
            return steps
        abilities = " ".join(member.description for member in team)
        raise Refusal(f"Without a model, no specialist of this team can do that. {abilities}")

    def write_sql(self, question: str, failed: Attempt | None = None) -> Query:
        if failed:
            raise Refusal(failed.error)
        parse = self._parser.parse(question)
        if parse.problem:
            raise Refusal(parse.problem, parse.question, parse.options)
        return Query(parse.sql, parse.reading, parse.unit)

    def quote(self, question: str, passages: Sequence[Passage]) -> Quote:
        words = self._words
        span = words and answer_span(words.rephrase(question), passages, words.rarity)
        if not span:
            raise Refusal("The documents don't contain the answer.")
        return Quote(span.answer, span.quote, span.number)

    def compute(self, task: str) -> Expression:
        return to_expression(task)

    def write_program(self, task: str, failed: Attempt | None = None) -> str:
        matches = (pattern.search(task) for pattern in _CODE)
        code = next((match[1].strip() for match in matches if match), "")
        if failed or not code:
            raise Refusal("Only a model can write a program; set SEEDBED_MODEL.")
        return code

    def compose(
        self,
        task: str,  # noqa: ARG002
        results: Mapping[str, Result],
        problem: str = "",  # noqa: ARG002
        draft: Callable[[str], None] | None = None,  # noqa: ARG002
    ) -> str:
        return "\n".join(f"- {one.reading or id}: {one.answer}" for id, one in results.items())

    def complete(self, task: str, earlier: Sequence[str]) -> str:
        return complete(earlier[-1], task) if earlier else task

    @cached_property
    def _words(self) -> IndexWords | None:
        documents = self._workspace.documents
        return IndexWords(documents) if documents else None

    @property
    def _parser_if_any(self) -> QuestionParser | None:
        return self._parser if self._workspace.database is not None else None
