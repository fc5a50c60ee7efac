"""The brain without a model: each kind of question has templates, and everything else is refused.

    brain = OfflineBrain(workspace)
    brain.write_sql("How many orders are open?").sql

A template is a regular expression beside the SQL or the expression that it writes. A word of a
question that no template accounts for is a refusal that names the word: a wrong answer given with
confidence is worse than none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from multi_agent.brain import Attempt, Expression, Member, Progress, Query, Quote, Refusal
from multi_agent.data.passages import Passage
from multi_agent.offline.arithmetic import to_expression
from multi_agent.offline.plan import make_plan
from multi_agent.offline.quotes import best_quote
from multi_agent.offline.sql import write_query
from multi_agent.offline.tables import Table, read_tables
from multi_agent.offline.words import LeftOver
from multi_agent.runs.state import Result, Step
from multi_agent.tools.builtin import Workspace

PASSAGES = 8  # as many as the researcher gets
ABILITIES = (
    "Without a model, this team counts, adds up, averages and looks up rows of one table, quotes a"
    " sentence, and computes a formula. Set SEEDBED_MODEL for anything else."
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
        if progress.plan:
            return ()
        names = [member.name for member in team]
        last = "researcher" if "researcher" in names else "calculator"
        return make_plan(task, lambda text: self._specialist(text, names), last)

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

    def _specialist(self, text: str, names: Sequence[str]) -> str:
        """The first specialist that can answer a question. Raises a refusal with a word, if any."""
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
