"""The results that the package contains."""

from pathlib import Path

import pytest

import research_repro
from research_repro.papers import find_paper
from research_repro.results import read_outcome, verify

FILES = sorted((Path(research_repro.__file__).parent / "published").glob("*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_published_table_can_be_recomputed(path: Path, tmp_path: Path) -> None:
    paper = find_paper(path.stem.rpartition("-")[0], tmp_path)
    assert verify(read_outcome(path, paper), paper) == []


def test_results_of_each_paper_are_published() -> None:
    assert {path.stem for path in FILES} >= {"lora-smoke", "ddim-smoke", "attention-smoke"}
