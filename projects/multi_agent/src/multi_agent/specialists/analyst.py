"""The analyst answers questions over the database with a query that can be checked.

Without a capable model the question is parsed (`data.question`); with one, the model writes the SQL
for the schema, and a query that fails is repaired with its error message, at most twice.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from multi_agent.data.database import Database
from multi_agent.data.question import Parse, QuestionParser
from multi_agent.specialists import Context, Workspace
from multi_agent.state import Evidence, Result, Step
from seedbed.errors import BadInput, DeadlineExceeded
from seedbed.models.prompts import load_prompt

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_REPAIRS = 2
_MAX_LISTED = 30  # rows in the short answer


class Analyst:
    """Questions over tables: counts, sums, averages, rankings, lists, look-ups."""

    name = "analyst"
    description = "Answers a question over the database: counts, totals, averages, rankings, lists."

    def __init__(self, database: Database) -> None:
        self._database = database

    @cached_property
    def _parser(self) -> QuestionParser:
        return QuestionParser(self._database)

    def bid(self, task: str) -> float:
        """High if the task parses, else little: by the share of its words that the database has."""
        parse, coverage = self._parser.parse(task), self._parser.coverage(task)
        if parse.question:
            return 0.5
        return 0.3 * coverage if parse.problem else 0.5 + 0.45 * coverage

    def work(self, step: Step, context: Context) -> Result:
        """Answer one question, or return the reason why not as the problem."""
        if context.model is not None:
            return self._work_with_model(step, context.model, context)
        parse = self._parser.parse(step.task)
        if parse.problem:
            return Result(
                step=step.id, problem=parse.problem, question=parse.question, options=parse.options
            )
        try:
            return self._result(step, parse, context.call("query_database", sql=parse.sql))
        except (BadInput, DeadlineExceeded) as error:
            return Result(step=step.id, problem=str(error), reading=parse.reading)

    def _work_with_model(self, step: Step, model: BaseChatModel, context: Context) -> Result:
        prompt, problem = load_prompt("multi_agent.data", "sql"), context.problem or "nothing"
        facts = {"schema": self._database.schema.text, "question": step.task}
        facts["dialect"] = "DuckDB" if self._database.is_duckdb else "SQLite"
        for _ in range(1 + _REPAIRS):
            text = prompt.render(problem=problem, **facts)
            sql = _sql_of(model.invoke(text).text)
            if sql.upper().startswith("NONE"):
                reason = sql.partition(":")[2].strip() or "The database has no such data."
                return Result(step=step.id, problem=reason)
            parse = Parse(sql, reading=f"The query of the model for: {step.task}")
            try:
                return self._result(step, parse, context.call("query_database", sql=sql))
            except (BadInput, DeadlineExceeded) as error:
                problem = f"{sql}\n{error}"
        return Result(step=step.id, problem=f"No query worked. The last error: {problem}")

    def _result(self, step: Step, parse: Parse, data: dict[str, Any] | str) -> Result:
        if isinstance(data, str):  # cut by the tool's output limit
            return Result(step=step.id, problem="The result is too long.", reading=parse.reading)
        rows = data["rows"]
        answer, number = _answer(rows, parse.unit)
        output = "\n".join(" | ".join(map(_text, row)) for row in [data["columns"], *rows])
        query = Evidence(
            kind="query", source=self._database.name, text=parse.sql, output=output[:2000]
        )
        reading = parse.reading
        return Result(
            step=step.id, answer=answer, number=number, reading=reading, evidence=(query,)
        )


def open_specialist(workspace: Workspace) -> Analyst | None:
    """The analyst, if there is a database."""
    return Analyst(workspace.database) if workspace.database is not None else None


def _sql_of(reply: str) -> str:
    fenced = re.search(r"```(?:sql)?\s*(.+?)```", reply, re.DOTALL)
    return (fenced[1] if fenced else reply).strip().rstrip(";")


def _answer(rows: list[list[Any]], unit: str) -> tuple[str, float | None]:
    """The short answer, and its number if it is a single one."""
    if not rows or all(value is None for value in rows[0]):
        return "none", None
    value = rows[0][0]
    if len(rows) == len(rows[0]) == 1 and isinstance(value, int | float):
        shown = "" if unit in ("cents", "cent") else unit.upper() if len(unit) == 3 else unit
        return f"{_text(value)} {shown}".strip(), float(value)
    separator = "; " if len(rows[0]) > 1 else ", "
    more = f" and {len(rows) - _MAX_LISTED} more" if len(rows) > _MAX_LISTED else ""
    return separator.join(map(_line, rows[:_MAX_LISTED])) + more, None


def _line(row: list[Any]) -> str:
    """Texts side by side, a number after them in brackets: "Anna Schmidt (12)"."""
    texts = [_text(value) for value in row if value is not None]
    if len(texts) > 1 and isinstance(row[-1], int | float):
        return f"{' '.join(texts[:-1])} ({texts[-1]})"
    return " ".join(texts)


def _text(value: Any) -> str:
    """A value as people write it.

    >>> _text(1234.5), _text(3.14159), _text(12000)
    ('1,234.50', '3.14', '12,000')
    """
    if isinstance(value, float) and value != int(value):
        return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"
    return "" if value is None else str(value)
