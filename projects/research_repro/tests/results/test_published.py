"""The results in the papers' folders: each can be recomputed, and every failure has a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from research_repro.paper import SCALES, Paper, Scale
from research_repro.papers import load_papers
from research_repro.report.html import report_html
from research_repro.results import Outcome, problems, published, verify

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
    # Comments change the digest of the code, which is a reason to run again, but not an error.
    assert [line for line in verify(outcome, paper) if "other code" not in line] == []
    assert problems(outcome, paper) == []
    for verdict in outcome.with_status("not reproduced"):
        assert re.match(r"20\d\d-\d\d-\d\d: \w", verdict.not_reproduced)


@pytest.mark.parametrize(("paper", "outcome"), OUTCOMES)
def test_cells_name_a_commit_or_nothing(paper: Paper, outcome: Outcome) -> None:
    commits = {cell["origin"].get("commit", "") for cell in outcome.cells.values()}
    assert all(re.fullmatch(r"[0-9a-f]{40}|", commit) for commit in commits)
    html = report_html(paper, outcome)
    assert all((commit or "commit not recorded") in html for commit in commits)
