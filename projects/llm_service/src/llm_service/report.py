"""What commands print: keys, usage and experiments as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llm_service.store.keys import Key


def key_json(key: Key) -> dict[str, Any]:
    """A key as it is shown; its secret is nowhere."""
    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "models": list(key.models),
        "rpm": key.rpm,
        "tpm": key.tpm,
        "concurrency": key.concurrency,
        "budget_usd": key.budget_usd,
        "team": key.team,
        "team_budget_usd": key.team_budget_usd,
        "created": key.created.isoformat(),
        "expires": key.expires.isoformat() if key.expires else None,
        "revoked": key.revoked.isoformat() if key.revoked else None,
    }


def columns(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Text in aligned columns; numbers to the right."""
    table = [list(heads), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in table) for n in range(len(heads))]
    numeric = [all(_is_number(row[n]) for row in table[1:]) for n in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in table
    )


def _text(cell: object) -> str:
    if cell is None or cell == "":
        return "-"
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(".", "").replace("e-", "").replace("%", "").isdecimal()


def keys_table(keys: Iterable[Key]) -> str:
    rows = []
    for key in keys:
        limits: dict[str, float | None] = {
            "rpm": key.rpm,
            "tpm": key.tpm,
            "at a time": key.concurrency,
            "USD": key.budget_usd,
            f"USD of {key.team}": key.team_budget_usd,
        }
        said = ", ".join(f"{value:g} {unit}" for unit, value in limits.items() if value is not None)
        state = (
            "revoked" if key.revoked else "expires " + f"{key.expires:%F}" if key.expires else ""
        )
        rows.append(
            (key.id, key.name, ",".join(sorted(key.scopes)), ",".join(key.models), said, state)
        )
    if not rows:
        return "There is no key yet. Make one: llm-service keys create --name NAME"
    return columns(("id", "name", "scopes", "models", "limits", ""), rows)


def usage_table(rows: Sequence[Mapping[str, Any]], by: str) -> str:
    if not rows:
        return "Nothing was asked yet."
    heads = (by, "requests", "errors", "read", "written", "USD", "p50 s", "p95 s")
    fields = [
        "n",
        "errors",
        "prompt_tokens",
        "completion_tokens",
        "cost_usd",
        "p50_seconds",
        "p95_seconds",
    ]
    return columns(heads, ([row[by], *(row[field] for field in fields)] for row in rows))


def experiments_table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "No request was part of an experiment. Write one into the models file."
    lines = []
    for row in rows:
        lines.append(f"{row['experiment']}: {row['verdict']}")
        heads = ("variant", "requests", "errors", "rated", "up", "95 %", "score", "p50 s", "USD")
        lines.append(columns(heads, map(_variant, row["variants"])))
        lines.append("")
    return "\n".join(lines).rstrip()


def _variant(found: Mapping[str, Any]) -> list[object]:
    share, score = found["up_share"], found["score"]
    interval = f"{share['low']:.2f}-{share['high']:.2f}" if share else ""
    return [
        found["variant"],
        found["requests"],
        found["errors"],
        found["rated"],
        share and share["value"],
        interval,
        score and score["value"],
        found["p50_seconds"],
        found["cost_usd"],
    ]
