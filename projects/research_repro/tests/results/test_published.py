"""The results in the papers' folders: each can be recomputed, and every failure has a reason."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import pytest

from research_repro.paper import SCALES, Paper, Scale, judge
from research_repro.papers import load_papers
from research_repro.report.html import report_html
from research_repro.results import Outcome, problems, published, six_digits

PAPERS, _ = load_papers(Path("nowhere"))
OUTCOMES = [
    pytest.param(paper, outcome, id=f"{paper.name}-{scale}")
    for paper in PAPERS
    for scale in SCALES
    if (outcome := published(paper, scale))
]


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
@pytest.mark.parametrize("scale", SCALES)
def test_paper_has_published_results(paper: Paper, scale: Scale) -> None:
    assert published(paper, scale)


@pytest.mark.parametrize(("paper", "outcome"), OUTCOMES)
def test_published_results_are_recomputed_and_pass(paper: Paper, outcome: Outcome) -> None:
    assert problems(outcome, paper) == []
    assert list(outcome.seeds) == list(paper.seeds[outcome.scale])
    again = [judge(claim, outcome.results, outcome.scale) for claim in paper.claims]
    assert six_digits([asdict(v) for v in again]) == six_digits(
        [asdict(v) for v in outcome.verdicts]
    )
    for verdict in outcome.with_status("not reproduced"):
        assert re.match(r"20\d\d-\d\d-\d\d: \w", verdict.not_reproduced)


@pytest.mark.parametrize(("paper", "outcome"), OUTCOMES)
def test_cells_name_commit_machine_and_seconds(paper: Paper, outcome: Outcome) -> None:
    html = report_html(paper, outcome)
    assert "Something failed" not in html
    for cell in outcome.cells.values():
        assert re.fullmatch(r"[0-9a-f]{40}", cell["origin"]["commit"])
        assert cell["origin"]["commit"] in html
        assert cell["origin"]["environment"]["cpu"] in html and cell["seconds"] > 0
