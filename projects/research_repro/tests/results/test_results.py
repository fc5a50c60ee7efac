"""Results files: what survives, what is refused, what `problems`, `verify` and `publish` notice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from research_repro.paper import Cell, Claim, Paper, Results, at_least, judge
from research_repro.results import (
    Outcome,
    compare,
    load_outcome,
    problems,
    publish,
    published,
    read_outcome,
    verify,
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


def run(paper: Paper, *values: float, ran: Paper | None = None) -> Outcome:
    """The outcome with one value of x for each seed, of cells that ran for the claims of `ran`."""
    digests = {claim.id: claim.digest() for claim in (ran or paper).claims}
    origin = {"commit": "a" * 40, "claims": digests, "code": paper.code_digest()}
    rows = {}
    for cell, x in zip(paper.cells("smoke", range(len(values))), values, strict=True):
        settings = json.loads(json.dumps(cell.settings))
        row = {"name": cell.name, "seed": cell.seed, "settings": settings, "seconds": 2.0}
        rows[cell.id] = row | {"result": {"x": x}, "origin": origin}
    results = Results({("a", seed): {"x": x} for seed, x in enumerate(values)})
    verdicts = [judge(claim, results, "smoke") for claim in paper.claims]
    return Outcome("toy", "smoke", list(range(len(values))), rows, verdicts, JUDGED)


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


# Everything of a claim but its measurement.
EDITS: dict[str, dict[str, Any]] = {
    "tolerance": {"tolerance": at_least(0, "nats")},
    "tolerance by little": {"tolerance": at_least(0.5 - 1e-9, "nats")},
    "unit": {"tolerance": at_least(0, "bits")},
    "statement": {"statement": "x is 0."},
    "expectation": {"expected": "0"},
    "source": {"source": "Table 2"},
    "never tested": {"tested_at": ()},
    "tested elsewhere": {"tested_at": ("laptop",)},
    "reason": {"not_reproduced": "2026-11-28: another reason."},
    "note": {"note": "It holds."},
    "name": {"id": "other"},
}


class TestPassing:
    """What makes a run pass: a measurement within its tolerance, or a published failure."""

    @pytest.mark.parametrize("edit", EDITS)
    def test_failing_claim_passes_by_no_edit(self, paper: Paper, edit: str) -> None:
        assert problems(run(paper, 0.0, 1.0), paper) == ["Claim mean: fails."]
        changed = edited(paper, **EDITS[edit])
        assert problems(run(changed, 0.0, 1.0, ran=paper), changed)
        removed = replace(paper, claims=paper.claims[1:])
        assert problems(run(removed, 0.0, 1.0, ran=paper), removed)
        assert problems(run(paper, 1.0, 1.0), paper) == []  # the measurement

    @pytest.mark.parametrize("edit", [edit for edit in EDITS if edit != "note"])
    def test_published_failure_passes_unchanged_only(self, paper: Paper, edit: str) -> None:
        failing = edited(paper, not_reproduced=REASON)
        assert problems(run(failing, 0.0, 1.0), failing) == [
            "Claim mean: not reproduced, which is not published yet."
        ]
        publish(run(failing, 0.0, 1.0), failing)
        assert problems(run(failing, 0.0, 1.0), failing) == []
        assert problems(run(failing, 1.0, 1.0), failing) == []
        # Also if the cells were computed anew for the changed claim
        changed = edited(failing, **EDITS[edit])
        assert problems(run(changed, 0.0, 1.0), changed)

    def test_failure_after_a_published_success_does_not_pass(self, paper: Paper) -> None:
        publish(run(paper, 1.0, 1.0), paper)
        failing = edited(paper, not_reproduced=REASON)
        assert problems(run(failing, 0.0, 1.0), failing)

    def test_unmeasured_claim_does_not_pass_but_an_untested_one_does(self, paper: Paper) -> None:
        outcome = run(paper)
        assert [verdict.status for verdict in outcome.verdicts] == ["not measured", "not tested"]
        assert problems(outcome, paper) == ["Claim mean: not measured."]


class TestPublish:
    def test_published_outcome_is_loaded_without_a_run(self, paper: Paper, tmp_path: Path) -> None:
        assert published(paper, "smoke") is None
        with pytest.raises(NotFound, match="Run: research-repro run toy --scale smoke"):
            load_outcome(tmp_path, paper, "smoke")
        outcome = run(paper, 1.0, 2.0)
        assert publish(outcome, paper) == paper.folder / "published" / "smoke.json"
        assert published(paper, "smoke") == load_outcome(tmp_path, paper, "smoke") == outcome

    @pytest.mark.parametrize("commit", [None, f"{'a' * 40}-dirty"])
    def test_cells_of_uncommitted_code_are_refused(self, paper: Paper, commit: str | None) -> None:
        outcome = run(paper, 1.0, 2.0)
        outcome.cells["a-seed1"]["origin"]["commit"] = commit
        with pytest.raises(BadInput, match=r"a-seed[01] was computed by .*\. Commit, then run"):
            publish(outcome, paper)

    def test_failure_without_a_reason_is_refused(self, paper: Paper) -> None:
        with pytest.raises(BadInput, match=r"claim mean: fails\. Write date and reason"):
            publish(run(paper, 0.0, 1.0), paper)

    def test_missing_cells_are_refused(self, paper: Paper) -> None:
        with pytest.raises(BadInput, match="the cells a-seed2 did not finish"):
            publish(replace(run(paper, 1.0, 2.0), not_run=["a-seed2"]), paper)


class TestFiles:
    def test_outcome_survives_its_file(self, paper: Paper, path: Path) -> None:
        outcome = run(paper, 1.0, 2.0)
        assert read_outcome(path, "toy", "smoke") == outcome
        assert outcome.seconds == 4.0

    @pytest.mark.parametrize("text", ["{", "", "[]", '{"format": 1}', "\ufeff{}", "[" * 100_000])
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
            (lambda data: data.update(seeds="none"), "seeds: "),
            (lambda data: data["verdicts"][0].pop("holds"), r"verdicts\.0\.holds: "),
            (lambda data: data["cells"]["a-seed1"].pop("result"), "cell a-seed1 is incomplete"),
            (lambda data: data["cells"]["a-seed1"].update(result=3), "cell a-seed1 is incomplete"),
            (lambda data: data["cells"]["a-seed1"].pop("origin"), "cell a-seed1 is incomplete"),
            (lambda data: data.update(format=99), "not in format 2"),
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


class TestVerify:
    def test_written_results_are_accepted(self, paper: Paper, path: Path) -> None:
        assert verify(read_outcome(path, "toy", "smoke"), paper) == []

    @pytest.mark.parametrize(
        "edit, line",
        [
            (
                lambda data: data["verdicts"][0].update(measured=1.75),
                "Claim mean: measured is 1.75, recomputed 1.5.",
            ),
            (
                lambda data: data["verdicts"][0].update(tolerance="≥ 0 nats"),
                "Claim mean: tolerance is ≥ 0 nats, recomputed ≥ 1 nats.",
            ),
            (
                lambda data: data["verdicts"][0].update(statement="Momentum cures cancer."),
                "Claim mean: statement is Momentum cures cancer., recomputed x is 1..",
            ),
            (
                lambda data: data["verdicts"][0].update(expected="2"),
                "Claim mean: expected is 2, recomputed 1.",
            ),
            (
                lambda data: data["verdicts"][0].update(note="Sure."),
                "Claim mean: note is Sure., recomputed .",
            ),
            (
                lambda data: data["verdicts"][0].update(tested=False),
                "Claim mean: tested is False, recomputed True.",
            ),
            (
                lambda data: data["verdicts"][0].update(not_reproduced="Why not."),
                "Claim mean: not_reproduced is Why not., recomputed .",
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
            (lambda data: data["verdicts"][0].update(id="o"), "Claim o: only in the table."),
            (
                lambda data: data["cells"]["a-seed0"]["settings"].update(rank=8),
                "Cell a-seed0: the paper does not define it with these settings.",
            ),
            (
                lambda data: data["seeds"].append(2),
                "Cell a-seed2: missing, although seeds [0, 1, 2] include it.",
            ),
        ],
    )
    def test_edited_file_is_reported(
        self, paper: Paper, path: Path, edit: Callable[[dict[str, Any]], object], line: str
    ) -> None:
        assert line in verify(read_outcome(change(path, edit), "toy", "smoke"), paper)

    def test_edited_paper_is_reported(self, paper: Paper, path: Path) -> None:
        outcome = read_outcome(path, "toy", "smoke")
        lines = verify(outcome, edited(paper, statement="x is 0."))
        assert "Claims changed after a-seed0 was computed: mean." in lines
        (paper.folder / "method.py").write_text("x = 2\n")
        assert verify(outcome, paper)[0] == "Cell a-seed0: computed by other code than the paper's."


def test_code_digest_ignores_claims_figures_and_texts(paper: Paper) -> None:
    before = paper.code_digest()
    for name in ("claims.py", "figures.py", "__init__.py"):
        (paper.folder / name).write_text("new = 1\n")
    assert paper.code_digest() == before
    (paper.folder / "cells.py").write_text("new = 1\n")
    assert paper.code_digest() != before


def test_compare_reports_which_verdicts_agree(paper: Paper) -> None:
    rows = compare(run(paper, 1.0, 2.0), run(paper, 0.0, 1.0))
    assert rows == {"mean": (0.5, False), "late": (0.5, None)}
    assert compare(run(paper, 1.0), run(paper, 2.0))["mean"] == (2.0, True)
    earlier = replace(run(paper, 1.0), verdicts=[])
    assert compare(run(paper, 1.0), earlier)["mean"] == (None, None)
