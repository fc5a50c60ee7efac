"""The cells and the claims; a killed training continues."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from research_repro.paper import Cell, Results, judge
from research_repro.papers.attention import PAPER
from research_repro.papers.attention.cells import ROWS, run_cell
from research_repro.runs.workspace import Workspace

EXACT = ("torch", "future", "offset", "variance")
SETTINGS = {"batch": 4, "warmup": 5, "smoothing": 0.1, "steps": 6, "numbers": 1, "tests": 3}


def test_exact_claims_hold(tmp_path: Path) -> None:
    result = run_cell(Cell("exact", 0), Workspace(tmp_path, tmp_path))
    results = Results({("exact", 0): result})
    claims = [claim for claim in PAPER.claims if claim.id in EXACT]
    assert [judge(claim, results, "smoke").holds for claim in claims] == [True] * 4


@pytest.mark.parametrize("name", ["base", "few-dropout"])
def test_killed_training_continues_with_equal_numbers(name: str, tmp_path: Path) -> None:
    cell = Cell(name, 0, {**SETTINGS, **ROWS[name]})
    whole = run_cell(cell, Workspace(tmp_path / "a", tmp_path))

    class Killed(Exception):
        pass

    ticks = itertools.count(step=60)  # a checkpoint after every step

    def clock() -> float:
        if (tick := next(ticks)) == 420:
            raise Killed
        return float(tick)

    with pytest.raises(Killed):
        run_cell(cell, Workspace(tmp_path / "b", tmp_path, clock=clock))
    assert list(tmp_path.glob("b/checkpoints/*"))
    torch.manual_seed(99)
    assert run_cell(cell, Workspace(tmp_path / "b", tmp_path)) == whole


def outcome(nats: float, exact: float) -> dict[str, Any]:
    return {"nats": [nats, nats, 9.0], "exact": [exact, exact, 0.0], "accuracy": [1, 1, 0.7]}


@pytest.mark.parametrize(
    ("claim", "row", "value"),
    [
        ("heads-1", outcome(0.3 + math.log(1.1), 1.0), 1.1),
        ("no-smoothing", outcome(0.3 + math.log(0.9), 1.0), 0.9),
        ("learned", outcome(0.3, 0.99), 0.0),
        ("no-positions", outcome(2.0, 0.09), -90.0),
    ],
)
def test_claim_compares_row_with_base_on_training_lengths(
    claim: str, row: dict[str, Any], value: float
) -> None:
    results = Results({("base", 0): outcome(0.3, 0.99), (claim, 0): row})
    verdict = next(judge(c, results, "laptop") for c in PAPER.claims if c.id == claim)
    assert verdict.measured == pytest.approx(value)
    assert verdict.holds


@pytest.mark.slow
def test_miniature_learns_to_translate_and_needs_positions(tmp_path: Path) -> None:
    named = {cell.name: cell for cell in PAPER.cells("smoke", [0])}
    base, unordered = (
        run_cell(named[name], Workspace(tmp_path, tmp_path)) for name in ("base", "no-positions")
    )
    assert base["nats"][1] < 0.75 * unordered["nats"][1]
    assert base["losses"][-1] < 0.5 * base["losses"][0]
