"""The claims and figures of DDIM, from results and from a miniature run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from research_repro.paper import Results, judge
from research_repro.papers.ddim import PAPER
from research_repro.runs.workspace import Workspace

ETAS = ("0", "0.2", "0.5", "1", "hat")
ROW = [[8] * 64] * 12


def results(**changes: float) -> Results:
    """What a good run measures."""
    distance = {f"{steps} {eta}": 1.0 + i for steps in (10, 20) for i, eta in enumerate(ETAS)}
    distance |= {"1000 1": 1.0, "test": 0.5} | changes
    digits = {
        "step_error": 0.0,
        "distance": distance,
        "consistency": 0.1,
        "jump": 0.2,
        "reconstruction": {"10": 0.01, "1000": 0.0001},
        "images": {
            name: {"a row": ROW} for name in ("samples", "steps", "interpolation", "reconstruction")
        },
    }
    return Results({("digits", 0): digits, ("speed", 0): {"20": 1.0, "1000": 50.0}})


def holding(results: Results) -> dict[str, bool | None]:
    return {claim.id: judge(claim, results, "laptop").holds for claim in PAPER.claims}


def test_every_claim_holds_for_good_results():
    assert set(holding(results()).values()) == {True}


def test_claim_of_quality_fails_if_short_sampling_is_worse():
    assert holding(results(**{"20 0": 1.2}))["quality"] is False


def test_claim_of_eta_fails_if_one_step_falls():
    assert holding(results(**{"10 0.5": 1.5}))["eta"] is False


@pytest.mark.slow
def test_miniature_run_measures_every_claim(tmp_path: Path):
    settings = {"width": 8, "batch": 16, "rate": 4e-3, "steps": 100, "samples": 64}
    settings |= {"short": [10, 20]}
    workspace, results = Workspace(tmp_path, tmp_path), {}
    for cell in PAPER.cells("smoke", [0]):
        small = dataclasses.replace(cell, settings=settings)
        results[cell.name, 0] = PAPER.run_cell(small, workspace)
    claims = holding(Results(results))
    assert None not in claims.values()
    assert claims["equations"] is claims["reconstruction"] is True
