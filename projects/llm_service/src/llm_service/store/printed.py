"""What commands print: keys, usage and experiments as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llm_service.store.keys import Key
from seedbed.cli import command_line, table


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


def keys_table(keys: Iterable[Key]) -> str:
    rows = []
    for key in keys:
        limits: dict[str, float | None] = {
            "rpm": key.rpm,
            "tpm": key.tpm,
            "concurrent": key.concurrency,
        }
        limits |= {"USD/month": key.budget_usd}
        limits |= {f"USD/month for team {key.team}": key.team_budget_usd}
        said = ", ".join(f"{value:g} {unit}" for unit, value in limits.items() if value is not None)
        state = (
            "revoked" if key.revoked else "expires " + f"{key.expires:%F}" if key.expires else ""
        )
        rows.append(
            (key.id, key.name, ",".join(sorted(key.scopes)), ",".join(key.models), said, state)
        )
    if not rows:
        create = command_line("llm-service", "keys", "create", "--name", "NAME")
        return f"No keys yet. Create one: {create}"
    return table(("id", "name", "scopes", "models", "limits", ""), rows)


def usage_table(rows: Sequence[Mapping[str, Any]], by: str) -> str:
    if not rows:
        return "No requests yet."
    heads = (by, "requests", "errors", "tokens in", "tokens out", "USD", "p50 s", "p95 s")
    fields = "n errors prompt_tokens completion_tokens cost_usd p50_seconds p95_seconds".split()
    return table(heads, ([row[by], *(row[field] for field in fields)] for row in rows))


def experiments_table(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "No requests in an experiment yet. Define one in the models file."
    lines = []
    for row in rows:
        lines.append(f"{row['experiment']}: {row['verdict']}")
        counts = ("variant", "requests", "errors", "rated", "up")
        heads = (*counts, "95 % interval", "score", "p50 s", "USD")
        lines.append(table(heads, map(_variant, row["variants"])))
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
