"""The claims table for terminals."""

from __future__ import annotations

from research_repro.paper import Claim, Results, at_least, judge
from research_repro.report.table import claims_table
from research_repro.results import Outcome

LONG = (
    "Under one budget, adapting both matrices beats adapting any one of them with more rank. " * 2
)


def make_outcome(values, **more):
    claim = Claim("c", "Tables 2 to 4", LONG, "x", lambda _: values, at_least(-2, "BLEU"), **more)
    verdicts = [judge(claim, Results({}), "smoke")]
    return Outcome("line", 1, "smoke", [0, 1], 75.0, {}, verdicts, {})


def test_table_fits_a_terminal_and_keeps_every_word():
    table = claims_table(make_outcome([-1e9, 12345.678]))
    assert max(map(len, table.splitlines())) <= 100
    header, *lines = table.splitlines()
    column = slice(header.index("claim"), header.index("measured"))
    assert LONG.strip() in " ".join(" ".join(line[column] for line in lines).split())


def test_table_has_verdict_interval_and_summary():
    table = claims_table(make_outcome([1.0, 2.0]))
    first, second = table.splitlines()[1:3]
    assert "1.50 BLEU" in first and "≥ −2 BLEU" in first and first.endswith("✓ holds")
    assert "−4.85 to 7.85" in second
    assert "1 of 1 claims hold at smoke scale." in table
    assert table.endswith("Seeds 0, 1; 1 min 15 s.")


def test_table_marks_claims_that_were_not_expected_to_hold():
    table = claims_table(make_outcome([-9.0], expected_at=("paper",)))
    assert "✗ does not hold" in table and "(not expected" in table
