"""A run from its cells to the stored outcome, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from research_repro.config import Config
from research_repro.paper import Cell, Paper
from research_repro.results import read_outcome
from research_repro.run import merge_cells, run_paper
from research_repro.runs.sweep import Event
from seedbed.errors import BadInput, NotFound


@pytest.fixture
def config(tmp_path: Path, papers_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    # A tracking server that does not answer: runs are not logged, which costs a warning.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return Config(data_dir=tmp_path / "var", papers_dir=papers_dir, processes=2)


@pytest.mark.parametrize(
    ("seeds", "message"),
    [([], "list of seeds is empty"), ([0, 0], "seeds: 0, 0"), ([1, -1], "seeds: 1, -1")],
)
def test_wrong_seeds_are_bad_input(
    toy: Paper, config: Config, seeds: list[int], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        run_paper(toy, "smoke", config, seeds)
    assert not config.data_dir.exists()


@pytest.mark.parametrize("names", ["aa", ["a/b"], ["two\nlines"]])
def test_cells_need_unique_file_names(toy: Paper, config: Config, names: list[str]) -> None:
    paper = replace(toy, cells=lambda *_: [Cell(name, 0) for name in names])
    with pytest.raises(BadInput, match="is not unique, or cannot be the name of a file"):
        run_paper(paper, "smoke", config)


def test_a_run_in_progress_is_bad_input(toy: Paper, config: Config) -> None:
    folder = config.data_dir / "runs" / "toy-smoke"
    folder.mkdir(parents=True)
    with (
        FileLock(folder / "run.lock"),
        pytest.raises(BadInput, match="run toy-smoke is already in progress"),
    ):
        run_paper(toy, "smoke", config)


def test_without_time_no_cell_runs_and_nothing_is_measured(toy: Paper, config: Config) -> None:
    outcome = run_paper(toy, "smoke", config.model_copy(update={"minutes": 1e-9}), [0])
    assert outcome.not_run == ["fit-seed0", "again-seed0"]
    assert [verdict.holds for verdict in outcome.verdicts] == [None, None]
    assert read_outcome(config.data_dir / "results" / "toy-smoke.json", "toy", "smoke") == outcome


@pytest.mark.slow
class TestRun:
    def test_stored_results_are_reused_only_if_they_fit(self, toy: Paper, config: Config) -> None:
        events: list[Event] = []
        first = run_paper(toy, "smoke", config, on_event=events.append)
        assert [verdict.holds for verdict in first.verdicts] == [True, True]
        assert first.seeds == [0, 1]
        assert list(first.cells) == ["fit-seed0", "again-seed0", "fit-seed1", "again-seed1"]
        assert read_outcome(config.data_dir / "results" / "toy-smoke.json", "toy", "smoke") == first

        # The second run uses all results but one of other settings and one of other code.
        folder = config.data_dir / "runs" / "toy-smoke" / "cells"
        for name, change in (("fit-seed0", {"settings": {}}), ("again-seed0", {"code": "other"})):
            record = json.loads((folder / f"{name}.json").read_text())
            (folder / f"{name}.json").write_text(json.dumps(record | change))
        (folder / "fit-seed1.json").write_text('{"name": "fi')
        events.clear()
        second = run_paper(toy, "smoke", config, on_event=events.append)
        stored = [event.cell for event in events if event.kind == "stored"]
        assert stored == ["again-seed1"]
        assert second.cells["again-seed1"] == first.cells["again-seed1"]
        assert second.verdicts == first.verdicts

        # `fresh` uses none.
        events.clear()
        run_paper(toy, "smoke", config, [1], fresh=True, on_event=events.append)
        assert {event.kind for event in events} == {"started", "step", "finished"}
        assert len(list(folder.iterdir())) == 2

    def test_a_failed_cell_leaves_its_claim_unmeasured(self, toy: Paper, config: Config) -> None:
        def cells(*_: object) -> list[Cell]:
            return [
                Cell("fit", 0, {"steps": 40}),
                Cell("again", 0, {"steps": 40, "fail": "diverged"}),
            ]

        outcome = run_paper(replace(toy, cells=cells), "smoke", config)
        assert [verdict.holds for verdict in outcome.verdicts] == [True, None]
        assert outcome.failed["again-seed0"].startswith("RuntimeError: diverged")

    def test_cells_name_the_process_that_computed_them(self, toy: Paper, config: Config) -> None:
        first = run_paper(toy, "smoke", config, [0])
        origin = first.cells["fit-seed0"]["origin"]
        assert origin["claims"] == {claim.id: claim.digest() for claim in toy.claims}
        assert origin["code"] == toy.code_digest()
        assert {"commit", "started", "environment"} <= origin.keys()
        assert origin["environment"]["versions"].keys() == {"torch", "numpy"}
        # Judged again by other claims, the cells keep the digests of those that they were run for.
        other = replace(toy, claims=(replace(toy.claims[0], statement="It is 3."),))
        second = run_paper(other, "smoke", config, [0])
        assert second.cells == first.cells

    def test_seeds_of_two_machines_are_merged(self, toy: Paper, config: Config) -> None:
        there = config.model_copy(update={"data_dir": config.data_dir / "there"})
        run_paper(toy, "smoke", config, [0])
        theirs = run_paper(toy, "smoke", there, [1])
        assert merge_cells(toy, "smoke", config, there.data_dir) == ["again-seed1", "fit-seed1"]
        events: list[Event] = []
        outcome = run_paper(toy, "smoke", config, [0, 1], on_event=events.append)
        assert {event.kind for event in events} == {"stored"}
        assert outcome.cells["fit-seed1"] == theirs.cells["fit-seed1"]
        with pytest.raises(NotFound, match="does not exist"):
            merge_cells(toy, "laptop", config, there.data_dir)
