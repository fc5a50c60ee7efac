"""The claims of a run as text of at most 100 columns, with the failed claims first."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console
from rich.table import Table

from research_repro.papers import load_papers
from research_repro.report import numbers
from research_repro.results import Outcome, published


def claims_table(outcome: Outcome) -> str:
    """The failed claims with their reasons, a table of all claims, and a summary."""
    console = Console(file=io.StringIO(), width=100, highlight=False, markup=False)
    failures = outcome.with_status("not reproduced", "fails")
    if failures:
        console.print("Not reproduced")
        for v in failures:
            values = f"{numbers.measured(v)} ({numbers.interval(v) or 'one value'})"
            console.print(
                f"  {v.source}: {v.statement} Measured: {values}; required: {v.tolerance}."
            )
            console.print(f"    {v.not_reproduced or 'No reason is given yet.'}")
        console.print()
    table = Table("place", "claim", "measured (95 %)", "tolerance", "verdict", box=None)
    for v in outcome.verdicts:
        values = f"{numbers.measured(v)}\n{numbers.interval(v)}".rstrip()
        table.add_row(v.source, v.statement, values, v.tolerance, numbers.LABELS[v.status])
    console.print(table)
    seeds = ", ".join(map(str, outcome.seeds)) or "–"
    console.print(f"\n{numbers.headline(outcome)}")
    console.print(f"Seeds {seeds}; {numbers.duration(outcome.seconds)} of computing.")
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def published_markdown() -> str:
    """The published runs at laptop scale in Markdown, for the README."""
    lines = []
    for paper in load_papers(Path("nowhere"))[0]:
        if outcome := published(paper, "laptop"):
            time = numbers.duration(outcome.seconds)
            lines.append(f"- **{paper.name}**: {numbers.headline(outcome)} {time} of computing.")
            lines += [
                f"    - {v.source}: {v.statement} Measured: {numbers.measured(v)},"
                f" required: {v.tolerance}. Since {v.not_reproduced}"
                for v in outcome.with_status("not reproduced")
            ]
    return "\n".join(lines)


def equations_markdown() -> str:
    """A link from each equation's number to its function, by paper, in Markdown for the README."""
    lines = []
    for paper in load_papers(Path("nowhere"))[0]:
        links = dict[int, str]()
        function = ""
        text = (paper.folder / "method.py").read_text("utf-8")
        for name, number in re.findall(r"^(?:class|def) (\w+)|# eq\. (\d+)", text, re.M):
            function = name or function
            if number:
                path = f"src/{__name__.partition('.')[0]}/papers/{paper.name}/method.py"
                links[int(number)] = f"[{number}]({path}#{function})"
        lines.append(f"- **{paper.name}**: {', '.join(links[number] for number in sorted(links))}.")
    return "\n".join(lines)
