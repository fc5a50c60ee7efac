"""What holds for every paper that is here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from research_repro.paper import SCALES, Paper, Results, judge
from research_repro.papers import load_papers

PAPERS, _ = load_papers(Path("nowhere"))
each_paper = pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)


@each_paper
def test_nothing_is_measured_or_drawn_without_results(paper: Paper) -> None:
    assert {judge(claim, Results({}), "laptop").holds for claim in paper.claims} == {None}
    assert [figure.draw(Results({})) for figure in paper.figures] == [None] * len(paper.figures)


@each_paper
@pytest.mark.parametrize("scale", SCALES)
def test_cells_have_unique_ids_and_json_settings(paper: Paper, scale: str) -> None:
    cells = paper.cells(scale, [0, 1])  # type: ignore[arg-type]
    assert len({cell.id for cell in cells}) == len(cells) > 1
    assert [json.loads(json.dumps(cell.settings)) for cell in cells] == [c.settings for c in cells]
