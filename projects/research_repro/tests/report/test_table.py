"""The claims table for terminals."""

from __future__ import annotations

import re

from research_repro.paper import Claim, Results, at_least, judge
from research_repro.report.table import claims_table, equations_markdown
from research_repro.results import Outcome

LONG = (
    "Under one budget, adapting both matrices beats adapting any one of them with more rank. " * 2
)


def make_outcome(values, **more):
    claim = Claim("c", "Tables 2 to 4", LONG, "x", lambda _: values, at_least(-2, "BLEU"), **more)
    verdicts = [judge(claim, Results({}), "smoke")]
    return Outcome("line", "smoke", [0, 1], {}, verdicts, {})


def test_table_fits_a_terminal_and_keeps_every_word():
    table = claims_table(make_outcome([-1e9, 12345.678], tested_at=("laptop",)))
    assert max(map(len, table.splitlines())) <= 100
    header, *lines = table.splitlines()
    column = slice(header.index("claim"), header.index("measured"))
    assert LONG.strip() in " ".join(" ".join(line[column] for line in lines).split())


def test_table_has_verdict_interval_and_summary():
    table = claims_table(make_outcome([1.0, 2.0]))
    first, second = table.splitlines()[1:3]
    assert "1.5 BLEU" in first and "≥ -2 BLEU" in first and first.endswith("✓ holds")
    assert "-4.85 to 7.85" in second
    assert "1 of 1 claims tested at smoke scale hold." in table
    assert table.endswith("Seeds 0, 1; 0 s of computing.")


def test_table_begins_with_what_was_not_reproduced():
    reason = "2026-11-27: the task is too easy."
    first, _, rest = claims_table(make_outcome([-9.0], not_reproduced=reason)).partition("\n\n")
    assert first.startswith("Not reproduced\n") and reason in first
    assert "Measured: -9 BLEU (one value); required: ≥ -2 BLEU." in " ".join(first.split())
    assert "✗ not reproduced" in rest


EQUATIONS = {"lora": "2 3", "ddim": "4 5 9 12 14 16 67", "attention": "1 2 3"}


def test_every_equation_of_a_method_has_its_number_and_a_link():
    for line in equations_markdown().splitlines():
        paper = line.split("**")[1]
        assert re.findall(r"\[(\d+)\]", line) == EQUATIONS[paper].split()
        assert all(f"papers/{paper}/method.py#" in link for link in line.split(", "))
