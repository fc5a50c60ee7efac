"""The report of made-up results."""

from __future__ import annotations

import re
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from html.parser import HTMLParser

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


def draw_losses(results):
    from seedbed.runs.figures import new_figure

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
    name="line",
    title="Fitting a Line",
    authors="A. Legendre",
    year=1805,
    url="https://example.org/line",
    summary="A line is fitted.",
    claims=(
        claim("low", at_most(1, "nats")),
        claim("high", at_least(2, "×")),
        claim("later", within(-2, -1), expected_at=("paper",), note="Too small to be visible."),
        claim("absent", at_most(1), measure=lambda _: []),
    ),
    cells=lambda _, seeds: [Cell("fit", seed) for seed in seeds],
    run_cell=lambda *_: {},
    seeds={"smoke": (0, 1, 2), "paper": (0,)},
    deviations=(
        Deviation("Comets", "Noise", "No comets here."),
        Deviation("A", "B", "C", ("paper",)),
    ),
    figures=(Figure("loss", "Figure 2", "The loss by seed.", draw_losses),),
)


def make_outcome(paper=PAPER, losses=LOSSES, **about):
    cells = {
        f"fit-seed{seed}": {
            "name": "fit",
            "seed": seed,
            "settings": {},
            "result": {"loss": loss},
            "seconds": 61.0,
        }
        for seed, loss in losses.items()
    }
    results = Results({("fit", seed): {"loss": loss} for seed, loss in losses.items()})
    verdicts = [judge(claim, results, "smoke") for claim in paper.claims]
    about = {"cpu": "Abacus", "cores": 2, "ended": "2026-11-27T14:05:10+00:00", **about}
    return Outcome(paper.name, 1, "smoke", list(losses), 183.0, cells, verdicts, about)


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


def test_summary_counts_each_kind_of_verdict():
    text = text_of(report_html(PAPER, make_outcome()))
    assert "1 of 4 claims hold at smoke scale." in text
    assert "1 does not hold, although expected to." in text
    assert "1 does not hold, and was not expected to at this scale. 1 was not measured." in text
    assert "Abacus, 2 cores" in text and "27 November 2026, 14:05" in text and "3 min 3 s" in text


def test_claim_has_verdict_measurement_and_tolerance():
    html = report_html(PAPER, make_outcome())
    low = row_of(html, "low")
    for part in ("✓ holds", "0.70 nats", "95 %: 0.20 to 1.20", "≤ 1 nats", "0.5 in the paper"):
        assert part in low
    assert "✗ does not hold" in row_of(html, "high") and "≥ 2×" in row_of(html, "high")
    later = row_of(html, "later")
    assert "not expected at this scale" in later and "Too small to be visible." in later
    assert "○ not measured" in row_of(html, "absent")


def test_dot_plot_has_a_dot_per_seed_and_describes_itself():
    html = report_html(PAPER, make_outcome())
    [plot] = re.findall(r"<svg class='dots'.*?Tolerance: ≤ 1 nats.*?</svg>", html, re.S)[:1]
    assert plot.count("<circle") == 3 and "class='band'" in plot
    assert "Seeds: 0.500, 0.700, 0.900." in plot


def test_report_contains_its_figures_and_loads_nothing():
    html = report_html(PAPER, make_outcome())
    assert 'src="data:image/svg+xml;base64,' in html and "Figure 2, redrawn." in html
    loaded = re.findall(r"(?:src|href)=[\"']([^\"']*)", html)
    assert [url for url in loaded if not url.startswith(("data:", PAPER.url))] == []
    assert "<script" not in html and "@import" not in html


@pytest.mark.parametrize(
    ("draw", "problem"),
    [(lambda _: None, "did not finish"), (lambda _: 1 / 0, "Something failed on our side")],
)
def test_figure_that_cannot_be_drawn_leaves_the_rest(draw, problem):
    paper = replace(PAPER, figures=(replace(PAPER.figures[0], draw=draw),))
    text = text_of(report_html(paper, make_outcome()))
    assert "Not drawn: " in text and problem in text and "Provenance" in text


def test_deviations_are_those_of_the_scale():
    text = text_of(report_html(PAPER, make_outcome()))
    assert "Comets Noise No comets here." in text and "A B C" not in text


def test_published_run_is_compared_claim_by_claim():
    published = make_outcome(losses={0: 2.5, 1: 2.6, 2: 2.7})
    html = report_html(PAPER, make_outcome(), published)
    assert "2.60 nats verdict differs" in row_of(html, "low")
    assert "1 of 4 verdicts are the same" in text_of(html)
    assert "The values of low, high, later differ by more than chance explains." in text_of(html)
    assert "Published run" not in report_html(PAPER, published, deepcopy(published))


def test_failed_and_missing_cells_are_named():
    about = {"failed": {"fit-seed3": "loss is not finite"}, "not_run": ["fit-seed4"]}
    text = text_of(report_html(PAPER, make_outcome(**about)))
    assert "Failed: fit-seed3. loss is not finite" in text and "Not run: fit-seed4." in text


def test_commands_name_seeds_that_differ_from_the_default():
    default = text_of(report_html(PAPER, make_outcome()))
    other = text_of(report_html(PAPER, make_outcome(losses={0: 0.5, 7: 0.6})))
    assert "research-repro run line --scale smoke research-repro verify" in default
    assert "research-repro run line --scale smoke --seeds 0,7" in other


def test_report_without_results_lists_the_claims():
    verdicts = [judge(claim, Results({}), "smoke") for claim in PAPER.claims]
    text = text_of(report_html(PAPER, Outcome("line", 1, "smoke", [], 0.0, {}, verdicts, {})))
    assert "Not run yet" in text and text.count("○ not measured") == 4
    assert "Provenance" not in text and "Figures" not in text


def test_diverged_training_does_not_hold():
    losses = {0: float("nan"), 1: 0.7}
    assert "not finite" in row_of(report_html(PAPER, make_outcome(losses=losses)), "low")


def test_texts_are_escaped():
    claims = (replace(PAPER.claims[0], statement=f"Statement low. {HOSTILE}"),)
    paper = replace(PAPER, title=HOSTILE, claims=claims, summary=HOSTILE)
    html = report_html(paper, make_outcome(paper, cpu=HOSTILE, failed={HOSTILE: HOSTILE}))
    assert HOSTILE not in html and "&lt;img" in html


def test_report_does_not_import_torch():
    code = "import sys, research_repro.report.html, research_repro.report.table"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
