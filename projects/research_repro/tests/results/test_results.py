"""Results files: what survives, what is refused, what passes, and what can be published."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from research_repro.paper import Cell, Claim, Paper, Results, at_least, judge
from research_repro.results import (
    Outcome,
    load_outcome,
    problems,
    published,
    read_outcome,
    six_digits,
    unpublishable,
    write_outcome,
)
from seedbed.errors import BadInput, NotFound

REASON = "2026-11-27: the task is too easy."
JUDGED = {"commit": "a" * 40, "time": "2026-11-27T14:05:10+00:00"}


def cells(_scale: str, seeds: Sequence[int]) -> list[Cell]:
    return [Cell("a", seed, {"rank": 4, "sizes": (1, 2)}) for seed in seeds]


def measure(results: Results) -> list[float]:
    return [row["x"] for row in results.of("a")]


def claim(id_: str, **more: Any) -> Claim:
    return Claim(id_, "Table 1", "x is 1.", "1", measure, at_least(1, "nats"), **more)


@pytest.fixture
def paper(tmp_path: Path) -> Paper:
    """A paper with two claims about the same number."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "method.py").write_text("x = 1\n")
    return Paper(
        folder=folder,
        name="toy",
        title="Toy",
        authors="A",
        year=2000,
        url="https://example.org",
        summary="A toy.",
        claims=(claim("mean"), claim("late", tested_at=("laptop",))),
        cells=cells,
        run_cell=lambda *_: {"x": 1.0},
        seeds={"smoke": [0, 1]},
    )


def run(paper: Paper, *values: float) -> Outcome:
    """The outcome with one value of x for each seed."""
    rows = {}
    for cell, x in zip(paper.cells("smoke", range(len(values))), values, strict=True):
        row = {"name": cell.name, "seed": cell.seed, "settings": {"rank": 4, "sizes": [1, 2]}}
        row |= {"code": paper.code_digest(), "seconds": 2.0, "result": {"x": x}, "scale": "smoke"}
        rows[cell.id] = row | {"origin": {"commit": "a" * 40}}
    outcome = Outcome("toy", "smoke", list(range(len(values))), rows, [], JUDGED)
    outcome.verdicts.extend(judge(claim, outcome.results, "smoke") for claim in paper.claims)
    return outcome


def publish(outcome: Outcome, paper: Paper) -> None:
    write_outcome(paper.folder / "published" / "smoke.json", outcome)


def assert_equal(actual: Outcome | None, expected: Outcome) -> None:
    """Equal to six digits, as files have them."""
    assert actual is not None
    assert six_digits(asdict(actual)) == six_digits(asdict(expected))


def edited(paper: Paper, **changes: Any) -> Paper:
    """The paper with changes of its first claim."""
    return replace(paper, claims=(replace(paper.claims[0], **changes), *paper.claims[1:]))


@pytest.fixture
def path(paper: Paper, tmp_path: Path) -> Path:
    """A results file with two seeds, where `mean` holds and `late` is not tested."""
    path = tmp_path / "results" / "toy-smoke.json"
    write_outcome(path, run(paper, 1.0, 2.0))
    return path


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))
    return path


EDITS: dict[str, dict[str, Any]] = {
    "tolerance": {"tolerance": at_least(0, "nats")},
    "unit": {"tolerance": at_least(1, "bits")},
    "tested elsewhere": {"tested_at": ("laptop",)},
    "reason": {"not_reproduced": "2026-11-28: another reason."},
    "name": {"id": "other"},
}


class TestPassing:
    """What makes a run pass: a measurement within its tolerance, or a published failure."""

    def test_claim_passes_by_its_measurement(self, paper: Paper) -> None:
        assert problems(run(paper, 0.0, 1.0), paper) == ["Claim mean: fails."]
        assert problems(run(paper, 1.0, 1.0), paper) == []
        failed = replace(run(paper, 1.0, 1.0), failed={"a-seed2": "diverged"})
        assert problems(failed, paper) == ["a-seed2 failed: diverged"]

    @pytest.mark.parametrize("edit", EDITS)
    def test_published_failure_passes_unchanged_only(self, paper: Paper, edit: str) -> None:
        failing = edited(paper, not_reproduced=REASON)
        assert problems(run(failing, 0.0, 1.0), failing) == [
            "Claim mean: not reproduced, which is not published yet."
        ]
        publish(run(failing, 1.0, 1.0), failing)
        assert problems(run(failing, 0.0, 1.0), failing)
        publish(run(failing, 0.0, 1.0), failing)
        assert problems(run(failing, 0.0, 1.0), failing) == []
        assert problems(run(failing, 1.0, 1.0), failing) == []
        changed = edited(failing, **EDITS[edit])
        assert problems(run(changed, 0.0, 1.0), changed)

    def test_unmeasured_claim_does_not_pass_but_an_untested_one_does(self, paper: Paper) -> None:
        outcome = run(paper)
        assert [verdict.status for verdict in outcome.verdicts] == ["not measured", "not tested"]
        assert problems(outcome, paper) == ["Claim mean: not measured."]


class TestPublishing:
    def test_published_outcome_is_loaded_without_a_run(self, paper: Paper, tmp_path: Path) -> None:
        assert published(paper, "smoke") is None
        with pytest.raises(NotFound, match="Run: research-repro run toy --scale smoke"):
            load_outcome(tmp_path, paper, "smoke")
        outcome = run(paper, 1.0, 2.0)
        publish(outcome, paper)
        assert published(paper, "smoke") == load_outcome(tmp_path, paper, "smoke")
        assert_equal(published(paper, "smoke"), outcome)
        assert outcome.seconds == 4.0
        assert list(unpublishable(outcome, paper)) == []

    @pytest.mark.parametrize("commit", [None, f"{'a' * 40}-dirty"])
    def test_cells_of_uncommitted_code_are_refused(self, paper: Paper, commit: str | None) -> None:
        outcome = run(paper, 1.0, 2.0)
        outcome.cells["a-seed1"]["origin"]["commit"] = commit
        (problem,) = unpublishable(outcome, paper)
        assert problem.startswith("cell a-seed1 was computed by ") and "Commit, then" in problem

    def test_other_seeds_failures_and_missing_cells_are_refused(self, paper: Paper) -> None:
        good = run(paper, 1.0, 2.0)
        for seeds in ([0], [0, 1, 2], [1, 0], [2, 5]):
            (problem,) = unpublishable(replace(good, seeds=seeds), paper)
            assert problem == f"its seeds are {seeds}, the paper declares [0, 1]."
        (problem,) = unpublishable(run(paper, 0.0, 1.0), paper)
        assert problem.startswith("claim mean: fails. Write date and reason")
        (problem,) = unpublishable(replace(good, not_run=["a-seed1"]), paper)
        assert problem == "the cells a-seed1 did not finish."
        (paper.folder / "data.csv").write_text("1\n")
        assert next(unpublishable(good, paper)).endswith("other code. Run it again.")


class TestFiles:
    @pytest.mark.parametrize("text", ["{", "", "[]", "{}", "\ufeff{}", "[" * 100_000])
    def test_damaged_results_are_one_line(self, path: Path, text: str) -> None:
        path.write_text(text, "utf-8")
        match = r"Delete the file and run: research-repro run toy"
        with pytest.raises(BadInput, match=match) as error:
            read_outcome(path, "toy", "smoke")
        assert "\n" not in str(error.value) and str(path) in str(error.value)

    @pytest.mark.parametrize(
        "edit, problem",
        [
            (lambda data: data.pop("verdicts"), "verdicts: Field required"),
            (lambda data: data["verdicts"][0].pop("holds"), r"verdicts\.0\.holds: "),
            (lambda data: data["cells"]["a-seed1"].update(result=3), r"cells\.a-seed1\.result: "),
            (lambda data: data["cells"]["a-seed1"].pop("origin"), r"cells\.a-seed1\.origin: "),
        ],
    )
    def test_incomplete_results_name_the_place(
        self, path: Path, edit: Callable[[dict[str, Any]], object], problem: str
    ) -> None:
        with pytest.raises(BadInput, match=f"cannot be read: .*{problem}"):
            read_outcome(change(path, edit), "toy", "smoke")

    def test_results_of_another_paper_are_refused(self, path: Path) -> None:
        with pytest.raises(BadInput, match="contains results of toy at smoke scale"):
            read_outcome(path, "lora", "smoke")


def test_code_digest_covers_all_but_claims_figures_and_texts(paper: Paper) -> None:
    before = paper.code_digest()
    for name in ("claims.py", "figures.py", "__init__.py"):
        (paper.folder / name).write_text("new = 1\n")
    (paper.folder / "published").mkdir()
    (paper.folder / "published" / "smoke.json").write_text("{}")
    assert paper.code_digest() == before
    (paper.folder / "parts").mkdir()
    for name in ("cells.py", "data.json", "parts/claims.py", "parts/method.py"):
        (paper.folder / name).write_text("new = 1\n")
        assert paper.code_digest() != before
        before = paper.code_digest()
