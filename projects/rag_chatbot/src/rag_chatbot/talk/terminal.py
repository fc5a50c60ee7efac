"""Output of the command line: answers with their sources, ingest summaries, tables of figures.

    typer.echo(terminal.readable(chatbot.ask(question, caller=OPERATOR)))

Every function formats JSON that `chatbot.py`, `ingest.py` or `evaluate` returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from seedbed import cli


def readable(answer: dict[str, Any]) -> str:
    """An answer as text, followed by its sources."""
    return f"{answer['answer']}\n{sources(answer)}".rstrip()


def sources(answer: dict[str, Any]) -> str:
    """The numbered sources of an answer, or the three nearest passages if it abstained."""
    lines = [f"  note: {notice}" for notice in answer["notices"]]
    lines += [f"  [{item['n']}] {location(item)}" for item in answer["citations"]]
    if answer["abstained"]:
        lines += [f"  nearest: {location(item)}" for item in answer["passages"][:3]]
    if answer["usage"]["input_tokens"] != 0:
        lines.append(f"  usage: {usage(answer)}")
    return "\n".join(lines)


def usage(answer: dict[str, Any]) -> str:
    """What a model read and wrote for an answer, and what that cost.

    >>> usage({"usage": {"input_tokens": 1204, "output_tokens": 87, "cost_usd": 0.00023}})
    '1,204 tokens read, 87 written, cost in USD: 0.00023'
    """
    numbers = (answer["usage"][name] for name in ("input_tokens", "output_tokens", "cost_usd"))
    read, written, usd = ("unknown" if n is None else f"{n:,.7g}" for n in numbers)
    return f"{read} tokens read, {written} written, cost in USD: {usd}"


def location(item: dict[str, Any]) -> str:
    """Where a citation or passage is in the documents; a whole document is at its source.

    >>> location({"source": "guide.pdf", "page": 3, "heading": "Install › Linux"})
    'guide.pdf, page 3, Install › Linux'
    """
    page = f"page {item['page']}" if item.get("page") else ""
    return ", ".join(part for part in (item["source"], page, item.get("heading")) if part)


def print_summary(summary: dict[str, Any]) -> None:
    """Print an ingest's summary on standard error, with the reason for each file not ingested."""
    kinds = ("added", "updated", "unchanged", "removed")
    counts = ", ".join(f"{summary[kind]} {kind}" for kind in kinds)
    typer.echo(f"{counts}: {summary['chunks']} chunks in {summary['seconds']:.1f} s", err=True)
    for kind in ("failed", "skipped"):
        for item in summary[kind]:
            typer.echo(f"{kind}: {item['path']}: {item['reason']}", err=True)


def listing(items: Sequence[dict[str, Any]]) -> str:
    """Objects as a table with a column for each field."""
    rows = [
        [", ".join(value) if isinstance(value, list | tuple) else value for value in item.values()]
        for item in items
    ]
    return cli.table(list(items[0]), rows) if rows else "Nothing yet."


def evaluation(result: dict[str, Any]) -> str:
    """An evaluation's figures as aligned columns, with their 95 % intervals."""
    figures = result["intervals"].items()
    rows = [(name, f["value"], f["low"], f["high"], f["n"]) for name, f in figures]
    return cli.table(("", "value", "95 % from", "to", "n"), rows)
