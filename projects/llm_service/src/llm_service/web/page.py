"""The status page: plain HTML that reloads itself, without scripts.

status_page(status.read(), caller)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seedbed.server.callers import Caller
from seedbed.server.html import escape, hint, table

RELOAD_SECONDS = 10
HEAD = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<meta http-equiv="refresh" content="{RELOAD_SECONDS}">
<title>llm_service</title>
<style>
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 64rem; margin: auto; padding: 1rem }}
  h2 {{ font-size: 1.1rem; margin: 2rem 0 0.5rem }}
  .scroll {{ overflow-x: auto }}
  table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }}
  th, td {{ text-align: left; padding: 0.3rem 1rem 0.3rem 0; white-space: nowrap }}
  tr {{ border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) }}
  .hint {{ opacity: 0.75 }}
</style>
"""
MODEL_HEADERS = (
    *("Model", "Backend", "State", "Running", "Waiting", "Memory"),
    *("Requests", "Errors", "p50", "p95"),
)
SIGN_OUT = "<a href='/auth/logout'>Sign out</a>"
KEY_HEADERS = ("Key", "Requests", "Errors", "Tokens", "Cost", "Budget")


def status_page(status: dict[str, Any], caller: Caller) -> str:
    """The figures of `Status.read` as a page for an operator."""
    parts = [
        HEAD,
        hint(caller.display_name) + SIGN_OUT if caller.claims else "",
        "<h1>llm_service</h1>",
        hint(f"Version {status['version']}, running since {status['started']}."),
        "<h2>Now</h2>",
        _table(("Running", "Waiting", "Cost today", "Cost this month"), [_now(status)]),
        "<h2>Models, with the requests of the last hour</h2>",
        _table(MODEL_HEADERS, map(_model, status["models"])),
        "<h2>Spending this month</h2>",
        _table(KEY_HEADERS, map(_key, status["keys"])) if status["keys"] else hint("No requests."),
        hint("The same figures as JSON: GET /admin/status. Trends: the Grafana dashboard."),
    ]
    return "\n".join(parts)


def _now(status: dict[str, Any]) -> list[str]:
    money = [_usd(status["today_usd"]), _usd(status["month_usd"])]
    return [str(status["running"]), str(status["waiting"]), *money]


def _model(model: dict[str, Any]) -> list[str]:
    state = {None: "", True: "loaded", False: "not loaded"}[model["loaded"]]
    if model["breaker"] != "closed":
        state = f"circuit {model['breaker'].replace('_', ' ')}"
    memory = model["memory_bytes"]
    counts = [str(model[name]) for name in ("running", "waiting")]
    counts.append(f"{memory / 1e6:,.0f} MB" if memory else "")
    counts += [f"{model[name]:,}" for name in ("requests", "errors")]
    times = [model["p50_seconds"], model["p95_seconds"]]
    seconds = ["" if time is None else f"{time:.3g} s" for time in times]
    return [model["name"], model["backend"], state, *counts, *seconds]


def _key(key: dict[str, Any]) -> list[str]:
    tokens, budget = key["prompt_tokens"] + key["completion_tokens"], key["budget_usd"]
    share = f"{key['cost_usd'] / budget:.0%} of {_usd(budget)}" if budget else "none"
    counts = [f"{number:,}" for number in (key["n"], key["errors"], tokens)]
    return [key["key"], *counts, _usd(key["cost_usd"]), share]


def _table(headers: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    return table(headers, ([escape(cell) for cell in row] for row in rows))


def _usd(amount: float) -> str:
    """
    >>> _usd(0.000012), _usd(12.5)
    ('$0.000012', '$12.50')
    """
    return f"${amount:.2f}" if amount >= 0.01 or not amount else f"${amount:.6f}"
