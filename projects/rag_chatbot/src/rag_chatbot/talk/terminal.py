"""What the command line shows: answers with their sources, an ingest's summary, figures."""

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
    lines += [f"  [{item['n']}] {place(item)}" for item in answer["citations"]]
    if answer["abstained"]:
        lines += [f"  nearest: {place(item)}" for item in answer["passages"][:3]]
    return "\n".join(lines)


def place(item: dict[str, Any]) -> str:
    """Where a citation or passage is: `guide.pdf, page 3, Install › Linux`."""
    page = f"page {item['page']}" if item["page"] else ""
    return ", ".join(part for part in (item["source"], page, item["heading"]) if part)


def report(summary: dict[str, Any]) -> None:
    """Print the summary of an ingest on standard error, and each file left out with its reason."""
    line = (
        "{added} added, {updated} updated, {unchanged} unchanged, {removed} removed:"
        " {chunks} chunks in {seconds:.1f} s"
    )
    typer.echo(line.format(**summary), err=True)
    for kind in ("failed", "skipped"):
        for item in summary[kind]:
            typer.echo(f"{kind}: {item['path']}: {item['reason']}", err=True)


def documents(listed: Sequence[dict[str, Any]]) -> str:
    """The documents of a collection as a table."""
    if not listed:
        return "No documents yet. Add some: rag-chatbot ingest FOLDER"
    return cli.table(("chunks", "source"), [(item["chunks"], item["source"]) for item in listed])


def collections(rules: Sequence[dict[str, Any]]) -> str:
    """Collections as a table, with the names of the keys that may read and write them."""
    rows = [(r["name"], ", ".join(r["readers"]), ", ".join(r["writers"])) for r in rules]
    return cli.table(("name", "read by", "written by"), rows)


def table(result: dict[str, Any]) -> str:
    """An evaluation's figures, and what changed since the baseline, as aligned columns."""
    if "intervals" in result:
        rows = [
            [name, f"{figure['value']:.3f}", _between(figure), figure["n"]]
            for name, figure in result["intervals"].items()
        ]
        rows += [
            [name, str(value), "", ""]
            for name, value in result.items()
            if name.startswith(("latency", "words"))
        ]
        text = cli.table(("", "value", "95 % interval", "n"), rows)
    else:
        arms = {name: value for name, value in result.items() if isinstance(value, dict)}
        arms.pop("compared", None)
        scores = [[arm, *(f"{v:.3f}" for v in figures.values())] for arm, figures in arms.items()]
        text = cli.table(("", *next(iter(arms.values()))), scores)
    if "compared" in result:
        changes = [
            [
                f"{name}{' *' if change['significant'] else ''}",
                f"{change['difference']:+.3f}",
                f"{change['low']:+.3f} to {change['high']:+.3f}",
                change["n"],
            ]
            for name, change in result["compared"].items()
        ]
        heads = ("change since the baseline", "", "95 % interval", "n")
        text += f"\n\n{cli.table(heads, changes)}\n* the interval excludes 0"
    return text


def _between(figure: dict[str, Any]) -> str:
    return f"{figure['low']:.3f} to {figure['high']:.3f}" if figure["n"] else ""
