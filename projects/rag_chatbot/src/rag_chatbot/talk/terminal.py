"""What the command line shows: answers with their sources, and the progress of long work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer


def readable(answer: dict[str, Any]) -> str:
    """An answer for a terminal: the text, then its sources."""
    return f"{answer['answer']}\n{sources(answer)}".rstrip()


def sources(answer: dict[str, Any]) -> str:
    """The numbered sources of an answer, or the nearest passages where there is none."""
    lines = [f"  note: {notice}" for notice in answer["notices"]]
    lines += [f"  [{item['n']}] {place(item)}" for item in answer["citations"]]
    if answer["abstained"]:
        lines += [f"  nearest: {place(item)}" for item in answer["passages"][:3]]
    return "\n".join(lines)


def place(item: dict[str, Any]) -> str:
    """Where a citation or passage stands: `guide.pdf, page 3, Install › Linux`."""
    page = f"page {item['page']}" if item["page"] else ""
    return ", ".join(part for part in (item["source"], page, item["heading"]) if part)


def report(summary: dict[str, Any]) -> None:
    """What an ingest did, on standard error; each file that was left out with its reason."""
    line = (
        "{added} added, {updated} updated, {unchanged} unchanged, {removed} removed:"
        " {chunks} chunks in {seconds:.1f} s"
    )
    typer.echo(line.format(**summary), err=True)
    for kind in ("failed", "skipped"):
        for item in summary[kind]:
            typer.echo(f"{kind}: {item['path']}: {item['reason']}", err=True)


def table(result: dict[str, Any]) -> str:
    """An evaluation's figures, and what changed since the baseline, as aligned columns."""
    if "intervals" in result:
        rows = [["", "value", "95 % interval", "n"]]
        for name, figure in result["intervals"].items():
            between = f"{figure['low']:.3f} to {figure['high']:.3f}" if figure["n"] else ""
            rows.append([name, f"{figure['value']:.3f}", between, str(figure["n"])])
        rows += [
            [name, str(result[name]), "", ""]
            for name in result
            if name.startswith(("latency", "words"))
        ]
    else:
        arms = {name: value for name, value in result.items() if isinstance(value, dict)}
        arms.pop("compared", None)
        rows = [["", *next(iter(arms.values()))]]
        rows += [[arm, *(f"{value:.3f}" for value in of.values())] for arm, of in arms.items()]
    text = _columns(rows)
    if "compared" in result:
        changes = [["change since the baseline", "", "95 % interval", "n"]] + [
            [
                f"{name}{' *' if d['significant'] else ''}",
                f"{d['difference']:+.3f}",
                f"{d['low']:+.3f} to {d['high']:+.3f}",
                str(d["n"]),
            ]
            for name, d in result["compared"].items()
        ]
        text += f"\n\n{_columns(changes)}\n* more than chance"
    return text


def _columns(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Callable[[int, int, str], None] | None]:
    """A progress callback: a bar on a terminal, a line every hundred files elsewhere."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), "{task.description}")
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("")
            yield lambda done, total, name: bar.update(
                task, completed=done, total=total, description=name
            )
    else:
        yield _line


def _line(done: int, total: int, name: str) -> None:
    if done % 100 == 0 or done == total:
        typer.echo(f"{done} of {total}: {name}", err=True)
