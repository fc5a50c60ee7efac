"""What commands print: keys, usage and experiments as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from pydantic_core import to_jsonable_python

from llm_service.store.keys import Key
from seedbed.cli import command_line, table


def key_json(key: Key) -> dict[str, Any]:
    """A key as JSON, without its secret."""
    listed = {field.name: getattr(key, field.name) for field in fields(key)}
    return {**to_jsonable_python(listed), "scopes": sorted(key.scopes)}


def keys_table(keys: Iterable[Key]) -> str:
    rows = []
    for key in keys:
        limits: dict[str, float | None] = {"rpm": key.rpm, "tpm": key.tpm}
        limits |= {"concurrent": key.concurrency, "USD/month": key.budget_usd}
        limits |= {f"USD/month for team {key.team}": key.team_budget_usd}
        text = ", ".join(f"{value:g} {unit}" for unit, value in limits.items() if value is not None)
        state = f"expires {key.expires:%F}" if key.expires else ""
        scopes, models = ",".join(sorted(key.scopes)), ",".join(key.models)
        rows.append((key.id, key.name, scopes, models, text, "revoked" if key.revoked else state))
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
    heads = ("variant", "requests", "errors", "rated", "up", "95 % interval", "USD")
    texts = []
    for row in rows:
        lines = []
        for variant in row["variants"]:
            share = variant["up_share"]
            interval = f"{share['low']:.2f}-{share['high']:.2f}" if share else ""
            counts = [variant[name] for name in ("variant", "requests", "errors", "rated")]
            lines.append([*counts, share and share["value"], interval, variant["cost_usd"]])
        texts.append(f"{row['experiment']}: {row['verdict']}\n{table(heads, lines)}")
    return "\n\n".join(texts)
