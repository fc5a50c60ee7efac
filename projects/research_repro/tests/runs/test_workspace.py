"""Checkpoints and artifacts of a cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from research_repro.paper import Cell
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput

CELL = Cell("fit", 0, {"rate": 0.1})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    # float() is 0.0: with a clock that stands still, a checkpoint is due after every step.
    return Workspace(tmp_path / "run", tmp_path / "cache", clock=float, checkpoint_every_s=0)


def train(workspace: Workspace, cell: Cell = CELL, total: int = 6, until: int = 6) -> list[int]:
    """The steps of a training that is killed in the step `until`."""
    model, steps = torch.nn.Linear(1, 1), []
    for step in replace(workspace).steps(cell, total, model=model):
        if step == until:
            break
        steps.append(step)
        with torch.no_grad():
            model.weight.fill_(step)
    return steps


def test_steps_continue_after_the_last_checkpoint(workspace: Workspace) -> None:
    assert train(workspace, until=4) == [0, 1, 2, 3]
    model = torch.nn.Linear(1, 1)
    steps = iter(replace(workspace).steps(CELL, 6, model=model))
    assert next(steps) == 4
    assert model.weight.item() == 3
    assert list(steps) == [5]


@pytest.mark.parametrize(
    "change",
    [{"code": "other"}, {"scale": "laptop"}],
    ids=["code", "scale"],
)
def test_a_checkpoint_of_another_run_is_ignored(
    workspace: Workspace, change: dict[str, object]
) -> None:
    train(workspace, until=4)
    other = replace(workspace, **change)  # type: ignore[arg-type]
    assert train(other) == [0, 1, 2, 3, 4, 5]


def test_loops_of_a_cell_have_their_own_checkpoints(workspace: Workspace) -> None:
    model = torch.nn.Linear(1, 1)
    list(workspace.steps(CELL, 4, model=model))
    assert next(iter(workspace.steps(CELL, 4, model=model))) == 0
    resumed = replace(workspace)
    assert list(resumed.steps(CELL, 4, model=model)) == []


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None], ids=["empty", "text", "cut"])
def test_a_corrupted_checkpoint_is_bad_input(workspace: Workspace, damage: bytes | None) -> None:
    train(workspace, until=4)
    [path] = workspace.folder.glob("checkpoints/*")
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.raises(BadInput, match="cannot be read") as caught:
        train(workspace)
    assert str(path) in str(caught.value)
    assert caught.value.hint == "Delete it to start this cell again."
    assert "\n" not in str(caught.value)


def test_an_artifact_is_made_once(workspace: Workspace) -> None:
    calls = []

    def make(folder: Path) -> None:
        calls.append(folder)
        (folder / "base.txt").write_text("made")

    first = workspace.artifact("base", {"width": 8}, make)
    assert workspace.artifact("base", {"width": 8}, make) == first
    assert workspace.artifact("base", {"width": 9}, make) != first
    assert len(calls) == 2
    assert (first / "base.txt").read_text() == "made"


def test_making_an_artifact_does_not_change_the_random_state(workspace: Workspace) -> None:
    numbers = []
    for _ in range(2):
        torch.manual_seed(3)
        workspace.artifact("base", {}, lambda _: print(torch.rand(5)))
        numbers.append(torch.rand(1).item())
    assert numbers[0] == numbers[1]
