"""The claims of a run as a text table of at most 100 columns."""

from __future__ import annotations

import textwrap
from itertools import zip_longest

from research_repro.paper import Verdict
from research_repro.report import words
from research_repro.results import Outcome
from seedbed.cli import table

_COLUMNS = {"place": 12, "claim": 34, "measured (95 %)": 17, "tolerance": 13, "verdict": 16}


def claims_table(outcome: Outcome) -> str:
    """The claims with what was measured, and a summary below them."""
    rows = [line for verdict in outcome.verdicts for line in _lines(verdict)]
    summary = words.headline(outcome.verdicts, outcome.scale)
    summary = textwrap.fill(f"{summary} {words.exceptions(outcome.verdicts)}", 100)
    seeds = ", ".join(map(str, outcome.seeds))
    facts = f"Seeds {seeds or '–'}; {words.duration(outcome.seconds)}."
    return f"{table(tuple(_COLUMNS), rows)}\n\n{summary}\n{facts}"


def _lines(verdict: Verdict) -> list[tuple[str, ...]]:
    """A verdict as table rows: the first with its values, the others with what did not fit."""
    label = words.LABELS[verdict.holds]
    if not verdict.expected_to_hold:
        label += " (not expected here)"
    cells = (
        verdict.source,
        verdict.statement,
        f"{words.measured(verdict)}\n{words.interval(verdict)}",
        words.tolerance(verdict),
        label,
    )
    wrapped = [
        [line for part in cell.splitlines() for line in textwrap.wrap(part, width)]
        for cell, width in zip(cells, _COLUMNS.values(), strict=True)
    ]
    return [*zip_longest(*wrapped, fillvalue="")]
