"""Results files: what survives, what is refused, what `verify` and `compare` notice."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from research_repro.paper import Cell, Claim, Paper, Results, at_least, judge
from research_repro.results import (
    Outcome,
    compare,
    published,
    read_outcome,
    verify,
    write_outcome,
)
from seedbed.errors import BadInput, NotFound
from seedbed.files import write_json


def cells(_scale: str, seeds: Sequence[int]) -> list[Cell]:
    return [Cell("a", seed, {"rank": 4, "sizes": (1, 2)}) for seed in seeds]


def claim(id_: str, cell: str) -> Claim:
    def measure(results: Results) -> list[float]:
        return [row["x"] for row in results.of(cell)]

    return Claim(id_, "Table 1", "x is 1.", "1", measure, at_least(1))


PAPER = Paper(
    name="toy",
    title="Toy",
    authors="A",
    year=2000,
    url="https://example.org",
    summary="A toy.",
    claims=(claim("mean", "a"), claim("late", "b")),
    cells=cells,
    run_cell=lambda *_: {"x": 1.0},
    seeds={"smoke": [0, 1]},
)


def run(*values: float, paper: Paper = PAPER) -> Outcome:
    """The outcome with one value of x for each seed."""
    rows = {}
    for cell, x in zip(paper.cells("smoke", range(len(values))), values, strict=True):
        settings = json.loads(json.dumps(cell.settings))
        row = {"name": cell.name, "seed": cell.seed, "settings": settings, "seconds": 2.0}
        rows[cell.id] = row | {"result": {"x": x, "data_sha256": "ab"}}
    results = Results({("a", seed): {"x": x} for seed, x in enumerate(values)})
    verdicts = [judge(claim, results, "smoke") for claim in paper.claims]
    seeds = list(range(len(values)))
    about = {"commit": "5db2-dirty", "versions": {"torch": "2.13"}, "cores": 2, "failed": {}}
    return Outcome("toy", paper.version, "smoke", seeds, 4.5, rows, verdicts, about)


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """Edit a results file by hand."""
    data = json.loads(path.read_text("utf-8"))
    edit(data)
    path.write_text(json.dumps(data), "utf-8")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The results file of a run with the values 1 and 2."""
    path = tmp_path / "results" / "toy-smoke.json"
    write_outcome(path, run(1.0, 2.0))
    return path


def test_read_outcome_equals_what_was_written(path: Path) -> None:
    assert read_outcome(path, PAPER) == run(1.0, 2.0)
    assert path.read_text("utf-8").startswith('{\n  "format": 1,\n  "paper": "toy",\n')
    assert [file.name for file in path.parent.iterdir()] == ["toy-smoke.json"]


def test_values_that_are_not_finite_are_read_again(path: Path) -> None:
    write_outcome(path, run(math.nan, math.inf))
    json.loads(path.read_text("utf-8"), parse_constant=pytest.fail)  # valid in any reader
    outcome = read_outcome(path)
    assert math.isnan(outcome.cells["a-seed0"]["result"]["x"])
    assert outcome.cells["a-seed1"]["result"]["x"] == math.inf
    assert outcome.verdicts[0].holds is False
    assert verify(outcome, PAPER) == []


def test_missing_results_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"Run: research-repro run my-paper --scale laptop$"):
        read_outcome(tmp_path / "my-paper-laptop.json")


@pytest.mark.parametrize("text", ["{", "", "[]", '{"format": 1}', "\ufeff{}", "[" * 100_000])
def test_damaged_results_are_one_line(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    with pytest.raises(BadInput, match=r"Delete the file and run: research-repro run toy") as error:
        read_outcome(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize(
    "edit, problem",
    [
        (lambda data: data.pop("verdicts"), "verdicts: Field required"),
        (lambda data: data.update(seeds="none"), "seeds: "),
        (lambda data: data["verdicts"][0].pop("holds"), r"verdicts\.0\.holds: "),
        (lambda data: data["cells"]["a-seed1"].pop("result"), "the cell a-seed1 is incomplete"),
        (lambda data: data["cells"]["a-seed1"].update(result=3), "the cell a-seed1 is incomplete"),
        (lambda data: data.update(format=99), "not in format 1"),
    ],
)
def test_incomplete_results_name_the_place(
    path: Path, edit: Callable[[dict[str, Any]], object], problem: str
) -> None:
    with pytest.raises(BadInput, match=f"cannot be read: .*{problem}"):
        read_outcome(change(path, edit))


def test_results_of_another_version_or_paper_are_refused(path: Path) -> None:
    with pytest.raises(BadInput, match="toy version 1; expected toy version 2"):
        read_outcome(path, replace(PAPER, version=2))
    with pytest.raises(BadInput, match="toy version 1; expected lora version 1"):
        read_outcome(path, replace(PAPER, name="lora"))
    (line,) = verify(read_outcome(path), replace(PAPER, version=2))
    assert line == "The results are of version 1, the paper is 2."


def test_verify_accepts_what_was_written(path: Path) -> None:
    assert verify(read_outcome(path), PAPER) == []


@pytest.mark.parametrize(
    "edit, line",
    [
        (
            lambda data: data["verdicts"][0].update(measured=1.75),
            "Claim mean: measured is 1.75, recomputed 1.5.",
        ),
        (
            lambda data: data["verdicts"][0].update(tolerance="≥ 0"),
            "Claim mean: tolerance is ≥ 0, recomputed ≥ 1.",
        ),
        (
            lambda data: data["cells"]["a-seed0"]["result"].update(x=-1.0),
            "Claim mean: holds is True, recomputed False.",
        ),
        (
            lambda data: data["cells"]["a-seed0"]["result"].pop("x"),
            "Claim mean: cannot be recomputed: KeyError('x').",
        ),
        (lambda data: data["verdicts"].pop(), "Claim late: only in the paper."),
        (lambda data: data["verdicts"][0].update(id="other"), "Claim other: only in the table."),
        (
            lambda data: data["cells"]["a-seed0"]["settings"].update(rank=8),
            "Cell a-seed0: the paper does not define it with these settings.",
        ),
    ],
)
def test_verify_reports_an_edited_file(
    path: Path, edit: Callable[[dict[str, Any]], object], line: str
) -> None:
    assert line in verify(read_outcome(change(path, edit)), PAPER)


def test_verify_compares_cells_with_their_files(path: Path, tmp_path: Path) -> None:
    outcome = read_outcome(path)
    assert verify(outcome, PAPER, tmp_path) == []  # another machine: there are no files
    folder = tmp_path / "cells"
    folder.mkdir()
    for cell_id, cell in outcome.cells.items():
        write_json(folder / f"{cell_id}.json", {**cell, "version": 1, "elapsed": 9.0})
    assert verify(outcome, PAPER, tmp_path) == []
    change(folder / "a-seed0.json", lambda data: data["result"].update(x=1.001))
    (folder / "a-seed1.json").write_text("{")
    assert verify(outcome, PAPER, tmp_path) == [
        f"Cell a-seed0: differs from its file in {folder}.",
        f"Cell a-seed1: its file in {folder} is missing or damaged.",
    ]


def test_compare_reports_which_verdicts_agree() -> None:
    here, there = run(1.0, 2.0), run(0.0, 1.0)
    mean, late = compare(here, there)
    assert (mean.id, mean.here, mean.there, mean.agrees) == ("mean", 1.5, 0.5, False)
    low, high = here.verdicts[0].interval or (0.0, 0.0)
    assert mean.shift == pytest.approx(1.0 / ((high - low) / 2 * math.sqrt(2)))
    assert (late.here, late.there, late.agrees, late.shift) == (None, None, None, None)
    assert compare(here, here)[0].agrees and compare(here, here)[0].shift == 0


def test_compare_of_single_seeds_and_new_claims_has_no_shift() -> None:
    assert compare(run(1.0), run(2.0))[0].shift is None
    assert compare(run(1.0, 1.0), run(2.0, 2.0))[0].shift is None  # intervals of no width
    earlier = replace(run(1.0), verdicts=[])
    assert [item.agrees for item in compare(run(1.0), earlier)] == [None, None]


def test_data_sha256_is_one_digest_of_all_data() -> None:
    outcome = run(1.0, 2.0)
    assert outcome.data_sha256 == "ab"
    outcome.cells["a-seed1"]["result"]["data_sha256"] = "cd"
    assert len(outcome.data_sha256) == 64
    assert replace(outcome, cells={}).data_sha256 == ""


def test_published_is_none_for_a_paper_without() -> None:
    assert published("toy", "smoke") is None
