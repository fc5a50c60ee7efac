"""The analyst answers questions over the database with a query that can be checked.

The brain proposes the query; if it fails, the brain rewrites it from its error, at most twice.
"""

from __future__ import annotations

from typing import Any

from multi_agent.brain import Attempt, Query
from multi_agent.data.database import Database
from multi_agent.runs.state import Evidence, Result, Step
from multi_agent.specialists import Context, Workspace
from multi_agent.tools.toolbox import ToolError

REPAIRS = 2
_MAX_LISTED = 30  # rows in the short answer


class Analyst:
    """Questions over tables: counts, sums, averages, rankings, lists, look-ups."""

    name = "analyst"
    description = "Answers a question over the database: counts, totals, averages, rankings, lists."

    def __init__(self, database: Database) -> None:
        self._database = database

    def work(self, step: Step, context: Context) -> Result:
        """Answer one question; the query and its rows are the evidence."""
        failed = None
        for _ in range(1 + REPAIRS):
            # 1. Propose a query.
            query = context.brain.write_sql(step.task, failed)
            if failed and query.sql == failed.text:
                break
            # 2. Run it.
            try:
                data = context.call("query_database", sql=query.sql)
            except ToolError as error:
                failed = Attempt(query.sql, str(error))
                continue
            if not data["tables"]:
                failed = Attempt(query.sql, "The query reads no table of the database.")
                continue
            # 3. Put its rows into words.
            return self._result(step, query, data)
        return Result(step=step.id, problem=f"No query worked. {failed.error if failed else ''}")

    def _result(self, step: Step, query: Query, data: dict[str, Any]) -> Result:
        answer, number = _answer(data["rows"], query.unit)
        if data["truncated"]:
            answer += f" (the result was cut after {len(data['rows']):,} rows)"
        output = "\n".join(" | ".join(map(_text, row)) for row in [data["columns"], *data["rows"]])
        evidence = Evidence(
            kind="query", source=self._database.name, text=query.sql, output=output[:2000]
        )
        return Result(
            step=step.id,
            answer=answer,
            number=number,
            reading=query.reading,
            evidence=(evidence,),
        )


def open_specialist(workspace: Workspace) -> Analyst | None:
    return Analyst(workspace.database) if workspace.database is not None else None


def _answer(rows: list[list[Any]], unit: str) -> tuple[str, float | None]:
    """The short answer, and its number if it is a single one."""
    rows = [row for row in rows if any(value is not None for value in row)]
    if not rows:
        return "none", None
    value = rows[0][0]
    if len(rows) == len(rows[0]) == 1 and isinstance(value, int | float):
        return f"{_text(value)} {unit}".strip(), float(value)
    more = f" and {len(rows) - _MAX_LISTED} more" if len(rows) > _MAX_LISTED else ""
    return ("; " if len(rows[0]) > 1 else ", ").join(map(_line, rows[:_MAX_LISTED])) + more, None


def _line(row: list[Any]) -> str:
    """A row as text, with a number at its end in brackets: "Anna Schmidt (12)"."""
    texts = [_text(value) for value in row if value is not None]
    if len(texts) > 1 and isinstance(row[-1], int | float):
        return f"{' '.join(texts[:-1])} ({texts[-1]})"
    return " ".join(texts)


def _text(value: Any) -> str:
    """A value as people write it: 1,234.50 and 3.14, 12,000 and 1200."""
    if isinstance(value, float) and value != int(value):
        return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.0f}"
    return "" if value is None else str(value)
