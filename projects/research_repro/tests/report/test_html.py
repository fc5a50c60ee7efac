"""The report of made-up results."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from research_repro.paper import (
    Cell,
    Claim,
    Deviation,
    Figure,
    Paper,
    Results,
    at_least,
    at_most,
    judge,
    within,
)
from research_repro.report.html import report_html
from research_repro.results import Outcome

HOSTILE = "<img src=x onerror=alert(1)>"
LOSSES = {0: 0.5, 1: 0.7, 2: 0.9}
ORIGIN = {
    "commit": "a" * 40,
    "started": "2026-11-27T14:05:10+00:00",
    "environment": {"versions": {"torch": "2.13"}, "cpu": "Abacus", "cores": 2},
}


def draw_losses(results):
    from seedbed.runs.training import new_figure

    rows = results.of("fit")
    if len(rows) < 2:
        return None
    figure, axes = new_figure(4, 2)
    axes.plot([row["loss"] for row in rows])
    return figure


def claim(name, tolerance, measure=lambda results: [r["loss"] for r in results.of("fit")], **more):
    return Claim(
        name, "Table 1", f"Statement {name}.", "0.5 in the paper", measure, tolerance, **more
    )


PAPER = Paper(
    folder=Path(__file__).parent,
    name="line",
    title="Fitting a Line",
    authors="A. Legendre",
    year=1805,
    url="https://example.org/line",
    summary="A line is fitted.",
    claims=(
        claim("low", at_most(1, "nats")),
        claim("high", at_least(2, "×"), not_reproduced="2026-11-27: too small."),
        claim("worse", at_least(3, "×")),
        claim("later", within(-2, -1), tested_at=("laptop",), note="Too small to be visible."),
        claim("absent", at_most(1), measure=lambda _: []),
    ),
    cells=lambda _, seeds: [Cell("fit", seed) for seed in seeds],
    run_cell=lambda *_: {},
    seeds={"smoke": (0, 1, 2), "laptop": (0,)},
    deviations=(
        Deviation("Comets", "Noise", "No comets here."),
        Deviation("A", "B", "C", ("laptop",)),
    ),
    figures=(Figure("loss", "Figure 2", "The loss by seed.", draw_losses),),
)


def make_outcome(paper=PAPER, losses=LOSSES, **more):
    cells = {
        f"fit-seed{seed}": {
            "name": "fit",
            "seed": seed,
            "settings": {},
            "result": {"loss": loss},
            "seconds": 61.0,
            "origin": ORIGIN if seed else {},
        }
        for seed, loss in losses.items()
    }
    results = Results({("fit", seed): {"loss": loss} for seed, loss in losses.items()})
    verdicts = [judge(claim, results, "smoke") for claim in paper.claims]
    judged = {"commit": "b" * 40, "time": "2026-11-28T09:00:00+00:00"}
    return Outcome(paper.name, "smoke", list(losses), cells, verdicts, judged, **more)


def text_of(html):
    """The text of a page, with single spaces."""
    parts = []

    class Parser(HTMLParser):
        handle_data = staticmethod(parts.append)

    Parser().feed(html)
    return re.sub(r"\s+", " ", " ".join(parts))


def row_of(html, name):
    [row] = [row for row in re.findall(r"<tr>.*?</tr>", html, re.S) if f"Statement {name}." in row]
    return text_of(row)


@pytest.fixture(scope="module")
def html():
    return report_html(PAPER, make_outcome(failed={"fit-seed3": "diverged"}, not_run=["fit-seed4"]))


def test_summary_counts_each_status_and_failures_come_first_with_their_reason(html):
    summary, _, _ = html.partition("<h2>Claims</h2>")
    text = text_of(summary)
    expected = "1 of 4 claims tested at smoke scale hold; 1 not reproduced, 1 fails, 1 not measured"
    assert f"{expected}, 1 not tested." in text and "3 min 3 s in 3 cells" in text
    assert "Statement high." in text and "2026-11-27: too small." in text
    assert "Statement worse." in text and "No reason is given yet." in text
    assert "Statement low." not in text


def test_claim_has_verdict_measurement_interval_and_tolerance(html):
    html = html.partition("<h2>Claims</h2>")[2]
    low = row_of(html, "low")
    for part in ("✓ holds", "0.7 nats", "0.203 to 1.2", "≤ 1 nats", "0.5 in the paper"):
        assert part in low
    assert "✗ not reproduced" in row_of(html, "high") and "✗ fails" in row_of(html, "worse")
    later = row_of(html, "later")
    assert "– not tested at this scale" in later and "Too small to be visible." in later
    assert "○ not measured" in row_of(html, "absent")


def test_provenance_lists_commits_of_cells_apart_from_that_of_the_verdicts(html):
    text = text_of(html.partition("<h2>Provenance</h2>")[2])
    assert f"Judged at {'b' * 40}, 28 November 2026, 09:00" in text
    assert "Environment versions torch 2.13; cpu Abacus; cores 2" in text
    assert f"fit-seed1 {'a' * 40} 27 November 2026, 14:05 1 min 1 s" in text
    assert "fit-seed0 commit not recorded not recorded 1 min 1 s" in text
    assert "Failed: fit-seed3. diverged" in text and "Not run: fit-seed4." in text


def test_report_contains_its_figures_and_deviations_and_loads_nothing(html):
    assert 'src="data:image/svg+xml;base64,' in html and "Figure 2, redrawn." in html
    loaded = re.findall(r"(?:src|href)=[\"']([^\"']*)", html)
    assert [url for url in loaded if not url.startswith(("data:", PAPER.url))] == []
    assert "<script" not in html and "@import" not in html
    assert "Comets Noise No comets here." in text_of(html) and "A B C" not in text_of(html)


@pytest.mark.parametrize(
    ("draw", "problem"),
    [(lambda _: None, "did not finish"), (lambda _: 1 / 0, "Something failed on our side")],
)
def test_figure_that_cannot_be_drawn_leaves_the_rest(draw, problem):
    paper = replace(PAPER, figures=(replace(PAPER.figures[0], draw=draw),))
    text = text_of(report_html(paper, make_outcome()))
    assert "Not drawn: " in text and problem in text and "Provenance" in text


def test_commands_name_seeds_that_differ_from_the_default():
    default = text_of(report_html(PAPER, make_outcome()))
    other = text_of(report_html(PAPER, make_outcome(losses={0: 0.5, 7: 0.6})))
    assert "research-repro run line --scale smoke Provenance" in default
    assert "research-repro run line --scale smoke --seeds 0,7" in other


def test_texts_are_escaped():
    claims = (replace(PAPER.claims[0], statement=f"Statement low. {HOSTILE}"),)
    paper = replace(PAPER, title=HOSTILE, claims=claims, summary=HOSTILE)
    html = report_html(paper, make_outcome(paper, failed={HOSTILE: HOSTILE}))
    assert HOSTILE not in html and "&lt;img" in html


def test_report_does_not_import_torch():
    code = "import sys, research_repro.report.html, research_repro.report.table"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
