"""The brain of a real model: one method per role, one prompt file each, one error policy.

    brain = ModelBrain(load_chat_model("openai:gpt-4o-mini"), workspace, today=date.today())
    brain.write_sql("How many orders are open?").sql

Replies follow a schema and are checked; a wrong reply is sent back once with its problem. Vendor
failures raise ModelError, tasks that the model cannot do raise Refusal; the graph handles both.
Untrusted text (documents, values, results, errors) is quoted as data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, Field

from multi_agent.brain import Attempt, Expression, Member, Progress, Query, Quote, Refusal
from multi_agent.runs.state import Result, Step, readable
from multi_agent.tools.evidence import contains
from seedbed.models.prompts import as_data, load_prompt
from seedbed.models.structured_reply import structured_reply
from seedbed.structured.reply_text import without_thinking

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from multi_agent.data.passages import Passage
    from multi_agent.tools.builtin import Workspace

MAX_STEPS = 8
MAX_ERROR = 2_000
"""Characters of an error that a repair quotes."""
_REFERENCE = re.compile(r"\{(s\d+)\}")


class Reply(BaseModel):
    """What every reply has: a way out. The fields are required, as OpenAI's strict mode demands."""

    refusal: str = Field(description="Why there is no answer, in one sentence. Empty if there is.")
    question: str = Field(description="What only the user can decide. Empty if nothing.")
    options: list[str] = Field(description="Answers to the question, each complete in itself.")


class PlannedStep(BaseModel):
    id: str = Field(description="s1, s2 and so on.")
    specialist: str
    task: str = Field(description="Complete without the others; {s1} for the answer of step s1.")


class PlanReply(Reply):
    steps: list[PlannedStep]


class QueryReply(Reply):
    reading: str = Field(description="What the query computes, in plain words.")
    sql: str = Field(description="One SELECT statement.")


class QuoteReply(Reply):
    quote: str = Field(description="The sentences that contain the answer, verbatim.")
    answer: str = Field(description='As short as possible: "30 days", "Ms. Falk".')


class ExpressionReply(Reply):
    expression: str
    unit: str = Field(description="Unit of the result, such as EUR or km. Empty if it has none.")


class TaskReply(BaseModel):
    task: str


R = TypeVar("R", bound=Reply)


class ModelBrain:
    """See `brain.Brain` for what the methods do."""

    def __init__(
        self, model: BaseChatModel, workspace: Workspace, *, today: date | None = None
    ) -> None:
        self._model, self._workspace = model, workspace
        self.preamble = f"Today is {today or date.today():%A, %Y-%m-%d}."

    def plan(self, task: str, team: Sequence[Member], progress: Progress) -> tuple[Step, ...]:
        ids = {step.id for step in progress.plan}
        first = 1 + max((int(id[1:]) for id in ids), default=0)
        names = {member.name for member in team}
        reply = self._ask(
            "plan",
            PlanReply,
            "steps",
            lambda plan: plan_problem(plan, names, first, progress.done.keys()),
            team="\n".join(f"- {member.name}: {member.description}" for member in team),
            progress=_progress_text(progress),
            first=f"s{first}",
            reference=f"{{s{first}}}",
            task=task,
        )
        return tuple(
            Step(**step.model_dump(), after=tuple(dict.fromkeys(_REFERENCE.findall(step.task))))
            for step in reply.steps
        )

    def write_sql(self, question: str, failed: Attempt | None = None) -> Query:
        database = self._workspace.database
        if database is None:
            raise Refusal("There is no database.")
        reply = self._ask(
            "sql",
            QueryReply,
            "sql",
            dialect="DuckDB" if database.is_duckdb else "SQLite",
            schema=as_data(database.description, "schema"),
            failed=_attempt_text(failed),
            question=question,
        )
        return Query(reply.sql.strip().rstrip(";"), reply.reading.strip())

    def quote(self, question: str, passages: Sequence[Passage]) -> Quote:
        texts = "\n\n".join(f"[{p.place}] {p.heading}\n{p.text}" for p in passages)

        def problem(reply: QuoteReply) -> str:
            if any(contains(passage.text, reply.quote) for passage in passages):
                return ""
            return f"The quote {reply.quote[:200]!r} is not in a passage."

        data = as_data(texts, "passages")
        reply = self._ask("quote", QuoteReply, "answer", problem, passages=data, question=question)
        return Quote(reply.answer.strip(), reply.quote.strip())

    def compute(self, task: str) -> Expression:
        reply = self._ask("compute", ExpressionReply, "expression", task=task)
        return Expression(reply.expression.strip(), reply.unit.strip())

    def compose(self, task: str, results: Mapping[str, Result], problem: str = "") -> str:
        facts = "\n".join(f"- {one.reading or id}: {one.answer}" for id, one in results.items())
        prompt = load_prompt(__package__, "compose").render(
            context=self.preamble,
            task=task,
            facts=as_data(facts, "results"),
            problem=problem or "-",
        )
        return without_thinking(str(self._model.invoke(prompt).text)).strip()

    def complete(self, task: str, earlier: Sequence[str]) -> str:
        if not earlier:
            return task
        prompt = load_prompt(__package__, "complete").render(
            context=self.preamble, earlier=as_data("\n".join(earlier), "list"), task=task
        )
        return structured_reply(self._model, prompt, TaskReply).task.strip() or task

    def _ask(
        self,
        name: str,
        reply_type: type[R],
        field: str,
        check: Callable[[R], str] = lambda _: "",
        **values: Any,
    ) -> R:
        """The reply to a prompt; its `field` is not empty. Raises Refusal or ModelError."""
        prompt = load_prompt(__package__, name).render(context=self.preamble, **values)

        def problem(reply: R) -> str | None:
            if reply.refusal.strip() or reply.question.strip():
                return None
            is_empty = not str(getattr(reply, field)).strip()
            return (
                f"There is neither a refusal nor `{field}`." if is_empty else check(reply) or None
            )

        reply: R = structured_reply(self._model, prompt, reply_type, check=problem)
        refusal, question = reply.refusal.strip(), reply.question.strip()
        if refusal or question:
            raise Refusal(refusal or question, question, reply.options)
        return reply


def plan_problem(plan: PlanReply, names: set[str], first: int, done: Any = ()) -> str:
    """What is wrong with a plan, in one line for the model; empty if nothing is."""
    if not 0 < len(plan.steps) <= MAX_STEPS:
        return f"A plan has 1 to {MAX_STEPS} steps, not {len(plan.steps)}."
    earlier: set[str] = set(done)
    for number, step in enumerate(plan.steps, first):
        if step.id != f"s{number}":
            return f"The id of this step must be s{number}, not {step.id!r}."
        if step.specialist not in names:
            return f"Unknown specialist {step.specialist!r}. Available: {', '.join(sorted(names))}."
        if not step.task.strip():
            return f"{step.id} has no task."
        if missing := set(_REFERENCE.findall(step.task)) - earlier:
            return f"{step.id} needs {', '.join(sorted(missing))}, which no earlier step gives."
        earlier.add(step.id)
    return ""


def _progress_text(progress: Progress) -> str:
    """The outcome of each step so far, quoted: answers and errors contain untrusted text."""
    lines = [
        f"{step.id} {step.specialist}: {readable(step, progress.results)} -> "
        + (f"done: {result.answer}" if not result.problem else f"failed: {result.problem}")
        for step in progress.plan
        if (result := progress.results.get(step.id))
    ]
    return as_data("\n".join(lines), "steps so far") if lines else "(none yet)"


def _attempt_text(attempt: Attempt | None) -> str:
    if attempt is None:
        return "(none)"
    return as_data(f"{attempt.text}\n\nError: {attempt.error[-MAX_ERROR:]}", "last query")
