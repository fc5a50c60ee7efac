"""The cells of each scale, and the tiny Llama's experiments end to end with a base of seconds."""

from pathlib import Path

from research_repro.paper import Cell, Results, judge
from research_repro.papers.lora import PAPER
from research_repro.papers.lora.cells import cells, run_cell
from research_repro.runs.workspace import Workspace

_BASE = {"kind": "strong", "width": 32, "layers": 1, "steps": 8, "learning_rate": 1e-2}
_BASE |= {"batch": 4, "records": 40}
_CELL = {"base": _BASE, "method": "lora", "learning_rate": 1e-2, "steps": 3}
_CELL |= {"options": {"targets": ["q_proj", "v_proj"], "rank": 2, "alpha": 8.0}}
_CELL |= {"batch": 4, "records": 20, "test_records": 3}


def test_laptop_cells_start_with_the_headline_for_all_seeds() -> None:
    names = [cell.id for cell in cells("laptop", [0, 1])]
    assert names[:4] == [f"smollm2-{n}-seed{s}" for s in (0, 1) for n in ("full", "lora")]
    assert not any("smollm2" in cell.name for cell in cells("smoke", [0]))


def test_exact_claims_hold_at_smoke_scale(tmp_path: Path) -> None:
    cell = cells("smoke", [0])[0]
    results = Results({("method", 0): run_cell(cell, Workspace(tmp_path, tmp_path / "cache"))})

    verdicts = [judge(claim, results, "smoke") for claim in PAPER.claims[:5]]

    assert [verdict.holds for verdict in verdicts] == [True] * 5


def test_fine_tuning_repeats_and_shares_its_base(tmp_path: Path) -> None:
    cell = Cell("tiny-lora", 0, _CELL)
    first = run_cell(cell, Workspace(tmp_path / "a", tmp_path / "cache"))
    second = run_cell(cell, Workspace(tmp_path / "b", tmp_path / "cache"))

    assert first == second
    assert first["trained_parameters"] == 2 * 2 * 2 * 32
    assert len(list((tmp_path / "cache").glob("tiny-llama-*[!k]"))) == 1


def test_subspaces_are_compared_for_each_matrix(tmp_path: Path) -> None:
    base = {**_BASE, "width": 64}
    cell = Cell("subspaces", 0, {**_CELL, "base": base})
    result = run_cell(cell, Workspace(tmp_path, tmp_path / "cache"))
    (query, value), tables = result["layers"], result["tables"]

    assert query["layer"].endswith("q_proj") and value["layer"].endswith("v_proj")
    ranks = tables[query["layer"]]["ranks"]
    assert len(ranks) == 8 and len(ranks[0]) == 64 and ranks[0][7] == query["top"]
    assert query["table7"]["delta_norm"] > 0
