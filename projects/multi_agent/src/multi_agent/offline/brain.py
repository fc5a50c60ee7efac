"""The brain without a model: plans by bids, parses questions, quotes.quoters, reads arithmetic.

    brain = OfflineBrain(workspace)
    brain.write_sql("How many orders are open?").sql

It refuses wherever a word is left over: a wrong answer given with confidence is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from multi_agent.brain import Attempt, Expression, Member, Progress, Query, Quote, Refusal
from multi_agent.data.database import Database
from multi_agent.documents.read import Passage
from multi_agent.offline.arithmetic import to_expression
from multi_agent.offline.plan.bids import Bids
from multi_agent.offline.plan.planner import Planner
from multi_agent.offline.quotes.quoter import Quoter
from multi_agent.offline.sql.question import QuestionParser
from multi_agent.state import Result, Step
from multi_agent.tools.workspace import Workspace
from seedbed.errors import SeedbedError


class OfflineBrain:
    """See `brain.Brain` for what the methods do. A second attempt would be the same as the first:
    there is none, neither of a plan nor of a query."""

    context = ""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    @cached_property
    def _parser(self) -> QuestionParser | None:
        database = self._workspace.database
        return None if database is None else QuestionParser(database)

    @cached_property
    def _quoter(self) -> Quoter | None:
        documents = self._workspace.documents
        return None if documents is None else Quoter(documents)

    def plan(self, task: str, team: Sequence[Member], progress: Progress) -> tuple[Step, ...]:
        if progress.plan:
            return ()
        if steps := Planner(Bids(self._parser, self._quoter, team)).plan(task):
            return steps
        abilities = " ".join(member.description for member in team)
        raise Refusal(f"Without a model, no specialist of this team can do that. {abilities}")

    def write_sql(self, question: str, failed: Attempt | None = None) -> Query:
        if failed or self._parser is None:
            raise Refusal(failed.error if failed else "There is no database.")
        parse = self._parser.parse(question)
        if parse.problem:
            raise Refusal(parse.problem)
        if self._workspace.database and _is_empty(parse.sql, self._workspace.database):
            raise Refusal(f"No row matches: {parse.reading}.")
        return Query(parse.sql, parse.reading, parse.unit)

    def quote(self, question: str, passages: Sequence[Passage]) -> Quote:
        quote = self._quoter and self._quoter.answer(question, passages)
        if not quote:
            raise Refusal("The documents don't contain the answer.")
        return quote

    def compute(self, task: str) -> Expression:
        return to_expression(task)

    def write_program(self, task: str, failed: Attempt | None = None) -> str:  # noqa: ARG002
        raise Refusal("Only a model can write a program; set SEEDBED_MODEL.")

    def compose(
        self,
        task: str,  # noqa: ARG002
        results: Mapping[str, Result],
        problem: str = "",  # noqa: ARG002
        draft: Callable[[str], None] | None = None,  # noqa: ARG002
    ) -> str:
        return "\n".join(f"- {one.reading or id}: {one.answer}" for id, one in results.items())

    def complete(self, task: str, earlier: Sequence[str]) -> str:  # noqa: ARG002
        return task


def _is_empty(sql: str, database: Database) -> bool:
    """Whether a query returns nothing, or the sum of nothing; one that fails is not empty."""
    try:
        rows = database.query(sql, max_rows=1).rows
    except SeedbedError:  # the analyst runs into it again, and reports it
        return False
    return not rows or all(value is None for value in rows[0])
