"""Each claim is green on results like the paper's and red on others."""

from copy import deepcopy
from typing import Any

import pytest

from research_repro.paper import Results, judge
from research_repro.papers.lora import PAPER
from research_repro.papers.lora.cells import cells

_NAMES = {cell.name for cell in cells("laptop", [0])}


def _good() -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = {
        name: {"bleu": 60.0, "slots": 95.0, "trained_parameters": 8192, "parameters": 800_000}
        for name in _NAMES
        if name.startswith(("tiny", "smollm2"))
    }
    results["tiny-lora-weak"] = {**results["tiny-lora"], "bleu": 20.0}
    results["method"] = {"b-zero": 0, "only-ab": 0, "count": 0, "equation": 3e-7, "merge": 5e-7}
    table = [[0.5] * 16] * 16
    norms = {"in_delta": 0.3, "in_weight": 20.0, "in_random": 0.05, "delta_norm": 6.0}
    layer = {"layer": "blocks.0.attention.query", "chance": 1 / 16, "top": 0.5, "seeds_8": 0.4}
    tables = {name: {"ranks": table, "seeds": table, "random": table} for name in "qv"}
    results["subspaces"] = {"layers": [layer | {"table7": norms}] * 2, "tables": tables}
    return results


# For each claim: a cell, a path in its result, and a value with which the claim fails.
_BAD: dict[str, tuple[str, str, float]] = {
    "b-zero": ("method", "b-zero", 0.1),
    "equation": ("method", "equation", 0.5),
    "merge": ("method", "merge", 0.01),
    "only-ab": ("method", "only-ab", 0.1),
    "count": ("method", "count", -64),
    "smollm2": ("smollm2-lora", "bleu", 56.9),
    "smollm2-qv": ("smollm2-lora-qv", "bleu", 54.9),
    "smollm2-slots": ("smollm2-lora", "slots", 91.0),
    "tiny": ("tiny-lora", "bleu", 57.9),
    "share": ("tiny-lora", "trained_parameters", 80_000),
    "bases": ("tiny-lora-weak", "bleu", 55.0),
    "rank": ("tiny-r1", "bleu", 57.0),
    "matrices": ("tiny-w-k", "bleu", 61.0),
    "subspace-rank": ("subspaces", "layers.0.top", 0.1),
    "subspace-seed": ("subspaces", "layers.0.seeds_8", 0.1),
    "correlation": ("subspaces", "layers.0.table7.in_random", 9.0),
    "emphasis": ("subspaces", "layers.0.table7.in_weight", 0.1),
    "amplification": ("subspaces", "layers.0.table7.delta_norm", 0.3),
}


def _results(cells: dict[str, dict[str, Any]]) -> Results:
    return Results({(name, seed): result for name, result in cells.items() for seed in (0, 1)})


def _set(value: Any, path: str, leaf: float) -> None:
    *keys, last = (int(key) if key.isdigit() else key for key in path.split("."))
    for key in keys:
        value = value[key]
    value[last] = leaf


def test_every_claim_has_a_case_that_it_rejects() -> None:
    assert set(_BAD) == {claim.id for claim in PAPER.claims}


@pytest.mark.parametrize("claim", PAPER.claims, ids=lambda claim: claim.id)
def test_claim_holds_on_good_results_and_fails_on_bad_ones(claim: Any) -> None:
    verdict = judge(claim, _results(_good()), "laptop")
    assert verdict.holds is True, verdict

    cells = deepcopy(_good())
    name, path, value = _BAD[claim.id]
    _set(cells[name], path, value)
    verdict = judge(claim, _results(cells), "laptop")
    assert verdict.holds is False, verdict
