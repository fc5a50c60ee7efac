"""A run from its cells to the stored outcome, and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock

from research_repro.config import Config
from research_repro.paper import Cell, Paper
from research_repro.papers import find_paper
from research_repro.results import Outcome, published, read_outcome
from research_repro.run import publish_run, run_paper
from seedbed.errors import BadInput


@pytest.fixture
def config(tmp_path: Path, papers_dir: Path) -> Config:
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
def test_stored_results_are_reused_only_if_they_fit(toy: Paper, config: Config) -> None:
    lines: list[str] = []

    def run(*args: object, **more: bool) -> Outcome:
        lines.clear()
        note = lambda done, total, text: lines.append(f"{text} {done}/{total}")  # noqa: E731
        return run_paper(toy, "smoke", config, *args, progress=note, **more)  # type: ignore[arg-type]

    first = run()
    assert [verdict.holds for verdict in first.verdicts] == [True, True]
    assert list(first.cells) == ["fit-seed0", "again-seed0", "fit-seed1", "again-seed1"]
    assert [line.split()[1] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    stored = read_outcome(config.data_dir / "results" / "toy-smoke.json", "toy", "smoke")
    assert stored.cells == first.cells

    # The second run uses all results but one of other settings and one of other code.
    folder = config.data_dir / "runs" / "toy-smoke" / "cells"
    for name, change in (("fit-seed0", {"settings": {}}), ("again-seed0", {"code": "other"})):
        record = json.loads((folder / f"{name}.json").read_text())
        (folder / f"{name}.json").write_text(json.dumps(record | change))
    (folder / "fit-seed1.json").write_text('{"name": "fi')
    second = run()
    assert len(lines) == 3 and lines[-1].endswith("4/4")
    assert second.cells["again-seed1"] == first.cells["again-seed1"]
    assert second.verdicts == first.verdicts

    # `fresh` uses none of these seeds, and leaves the others alone.
    run([1], fresh=True)
    assert len(lines) == 2
    assert len(list(folder.iterdir())) == 4
    run([0])
    assert lines == []


@pytest.mark.slow
def test_published_run_is_what_a_second_run_of_a_cell_gives(
    papers_dir: Path, config: Config
) -> None:
    # The toy's results name the process, which is another one each time: it is left out first.
    code = papers_dir / "toy" / "__init__.py"
    code.write_text(code.read_text().replace('        "process": os.getpid(),\n', ""))
    git = partial(subprocess.run, cwd=papers_dir, check=True, capture_output=True)
    (papers_dir / ".gitignore").write_text("__pycache__/\n")
    git(["git", "init"])
    git(["git", "add", "."])
    git(["git", "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-m", "toy"])
    toy = find_paper("toy", papers_dir)
    run_paper(toy, "smoke", config)
    path = publish_run(toy, "smoke", config)
    assert published(toy, "smoke") is not None and path.name == "smoke.json"

    # A forged result is found if its cell is the one that is run again: here all are forged.
    results = config.data_dir / "results" / "toy-smoke.json"
    results.write_text(re.sub(r'"slope": [\d.]+', '"slope": 2.0', results.read_text()))
    with pytest.raises(BadInput, match=r"-seed[01] was run again, and gave another result"):
        publish_run(toy, "smoke", config)
