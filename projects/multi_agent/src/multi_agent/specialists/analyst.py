"""The analyst answers questions over the database with a query that can be checked.

Without a capable model the question is parsed (`data.question`); with one, the model writes the SQL
for the schema, and a query that fails is repaired with its error message, at most twice.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from multi_agent.data.database import Database
from multi_agent.data.question import Parse, QuestionParser
from multi_agent.specialists import Context, Workspace
from multi_agent.state import Evidence, Result, Step
from seedbed.models.prompts import load_prompt

_REPAIRS = 2
_MAX_LISTED = 30  # rows in the short answer
_MAX_EVIDENCE = 2000  # characters of rows in the evidence


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
            return self._work_with_model(step, context)
        parse = self._parser.parse(step.task)
        if parse.problem:
            return Result(
                step=step.id, problem=parse.problem, question=parse.question, options=parse.options
            )
        rows = context.call("query_database", sql=parse.sql)
        return self._result(step, parse, rows)

    def _work_with_model(self, step: Step, context: Context) -> Result:
        from seedbed.errors import BadInput, DeadlineExceeded

        assert context.model is not None
        problem = context.problem or "nothing"
        prompt = load_prompt("multi_agent.data", "sql")
        dialect = "DuckDB" if self._database.is_duckdb else "SQLite"
        for _ in range(1 + _REPAIRS):
            text = prompt.render(
                dialect=dialect,
                schema=self._database.schema.text,
                problem=problem,
                question=step.task,
            )
            sql = _sql_of(context.model.invoke(text).text)
            if sql.upper().startswith("NONE"):
                return Result(
                    step=step.id, problem=sql.partition(":")[2].strip() or "No such data."
                )
            try:
                self._database.query(f"EXPLAIN {sql}")
            except (BadInput, DeadlineExceeded) as error:
                problem = f"{sql}\n{error}"
                continue
            rows = context.call("query_database", sql=sql)
            return self._result(step, Parse(sql, reading=f"SQL for: {step.task}"), rows)
        return Result(step=step.id, problem=f"No query worked. The last error: {problem}")

    def _result(self, step: Step, parse: Parse, data: dict[str, Any]) -> Result:
        rows = data["rows"]
        answer, number = _answer(rows, parse.unit, truncated=data.get("truncated", False))
        output = "\n".join(" | ".join(map(_text, row)) for row in [data["columns"], *rows])
        evidence = Evidence(
            kind="query", source=self._database.name, text=parse.sql, output=output[:_MAX_EVIDENCE]
        )
        return Result(
            step=step.id, answer=answer, number=number, reading=parse.reading, evidence=(evidence,)
        )


def open_specialist(workspace: Workspace) -> Analyst | None:
    """The analyst, if there is a database."""
    return Analyst(workspace.database) if workspace.database is not None else None


def _sql_of(reply: str) -> str:
    fenced = re.search(r"```(?:sql)?\s*(.+?)```", reply, re.DOTALL)
    return (fenced[1] if fenced else reply).strip().rstrip(";")


def _answer(rows: list[list[Any]], unit: str, *, truncated: bool) -> tuple[str, float | None]:
    """The short answer, and its number if it is a single one."""
    if not rows or all(value is None for value in rows[0]):
        return "none", None
    if len(rows) == 1 and len(rows[0]) == 1:
        value = rows[0][0]
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        name = "" if unit in ("cents", "cent") else unit.upper() if len(unit) == 3 else unit
        return f"{_text(value)} {name}".strip() if is_number else _text(value), (
            float(value) if is_number else None
        )
    lines = [_line(row) for row in rows[:_MAX_LISTED]]
    separator = "; " if len(rows[0]) > 1 else ", "
    more = f" and {len(rows) - len(lines)} more" if len(rows) > len(lines) else ""
    return separator.join(lines) + more + (" (first 1000 only)" if truncated else ""), None


def _line(row: list[Any]) -> str:
    """Texts side by side; a number after them in brackets, "Anna Schmidt (12)"."""
    texts = [_text(value) for value in row if value is not None]
    if len(texts) > 1 and isinstance(row[-1], (int, float)) and isinstance(row[-2], str):
        return f"{' '.join(texts[:-1])} ({texts[-1]})"
    return " ".join(texts)


def _text(value: Any) -> str:
    """A value as people write it.

    >>> _text(1234.5), _text(3.14159), _text(None)
    ('1,234.50', '3.14', '')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        if value == int(value):
            return f"{value:,.0f}"
        return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    return str(value)
