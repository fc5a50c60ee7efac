"""Killed at any instant and started again, a training ends with the adapter of an unbroken one.

Processes are real and die of SIGKILL, either when a step is told or at a file operation that an
audit hook sees, so the instant is the same each time.
"""

from __future__ import annotations

import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from finetune_fakes import difference, killed, tiny_base, tiny_training

from finetune_lora.model import checkpoints
from finetune_lora.model.adapter import read_task
from finetune_lora.runs.run_folder import RunFolder
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.train import train
from finetune_lora.train.trainer import TrainResult
from seedbed.errors import BadInput, NotFound

# Many processes start and end: on a busy machine a test takes longer than the usual limit.
pytestmark = pytest.mark.timeout(300)
NOISE = 1e-6

# Steps 3, 6, 9 and 10 are kept; each line is a file operation and which of its like it dies at.
OPERATIONS = {
    "first checkpoint, adapter only": ("open", ".writing/checkpoint-3/adapter_config.json", 1),
    "checkpoint without our counters": ("open", ".writing/checkpoint-6/.counters.json", 1),
    "checkpoint not yet named": ("os.rename", "step-000006", 1),
    "an old checkpoint goes": ("shutil.rmtree", "step-000003", 1),
    "last checkpoint not yet named": ("os.rename", "step-000010", 1),
    "adapter begun": ("open", ".adapter.tmp/adapter_config.json", 1),
    "adapter half moved": ("os.rename", ".adapter.tmp", 2),
    "adapter moved, no configuration": ("os.rename", ".adapter.tmp/adapter_config.json", 1),
}


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory) -> TrainArgs:
    """With all that has a state: dropout, parts of a batch, several batches a step."""
    hard = {"method": "dora", "dropout": 0.2, "accumulation": 2, "micro_tokens": 64}
    return replace(tiny_training(tmp_path_factory.mktemp("resume")), **hard)


@pytest.fixture(scope="module")
def whole(args: TrainArgs) -> TrainResult:
    return train(args)


def no_leftovers(folder: Path) -> bool:
    return not [p for p in folder.rglob(".*") if p.is_file()] and not list(folder.rglob(".*/*"))


@pytest.mark.slow
def test_killed_at_a_step_and_resumed(args: TrainArgs, whole: TrainResult, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert killed(replace(args, output=str(run)), step=5) == -signal.SIGKILL
    last = checkpoints.latest(run)
    assert last and last.name == "step-000003"
    events: list[dict[str, Any]] = []
    again = TrainArgs(output=str(run), resume=True)  # all else is recorded
    resumed = train(again, listeners=[RunFolder(run), events.append])
    assert difference(whole.folder, resumed.folder) < NOISE
    assert next(e["step"] for e in events if e["event"] == "step") == 4
    assert (resumed.steps, resumed.tokens) == (whole.steps, whole.tokens)
    assert resumed.eval_loss == pytest.approx(whole.eval_loss)
    assert resumed.train_loss == pytest.approx(whole.train_loss)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_while_writing(
    args: TrainArgs, whole: TrainResult, tmp_path: Path, name: str
) -> None:
    broken = replace(args, output=str(tmp_path / "run"))
    assert killed(broken, operation=OPERATIONS[name]) == -signal.SIGKILL
    if name.startswith("adapter"):
        with pytest.raises(NotFound, match="--resume"):
            read_task(tmp_path / "run")
    resumed = train(replace(broken, resume=True))
    assert difference(whole.folder, resumed.folder) < NOISE
    assert resumed.eval_loss == pytest.approx(whole.eval_loss)
    assert no_leftovers(resumed.folder)
    assert read_task(resumed.folder)["labels"] == ["bad", "good"]


@pytest.mark.slow
def test_resumed_finished_run_stays_as_it_is_and_the_seed_decides(
    args: TrainArgs, whole: TrainResult, tmp_path: Path
) -> None:
    first = train(replace(args, output=str(tmp_path / "run")))
    assert difference(whole.folder, first.folder) == 0
    events: list[dict[str, Any]] = []
    again = train(TrainArgs(output=str(first.folder), resume=True), listeners=[events.append])
    assert not [e for e in events if e["event"] == "step"]
    assert (again.steps, again.tokens, again.train_loss) == (10, first.tokens, first.train_loss)
    assert again.eval_loss == pytest.approx(first.eval_loss)
    assert difference(whole.folder, first.folder) == 0
    other = train(replace(args, output=str(tmp_path / "other"), seed=1))
    assert difference(whole.folder, other.folder) > 1e-3


@pytest.mark.slow
def test_resume_refuses_other_data_and_arguments_and_keeps_the_record(
    args: TrainArgs, whole: TrainResult, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert killed(replace(args, output=str(run)), step=1) == -signal.SIGKILL
    assert checkpoints.latest(run) is None
    records = run / "run.json", run / "checkpoints" / "job.json"
    before = [record.read_bytes() for record in records]
    other, moved = tmp_path / "other.jsonl", tmp_path / "moved.jsonl"
    other.write_text("\n".join(Path(args.data).read_text().splitlines()[:-2]))
    resume = TrainArgs(output=str(run), resume=True)
    changes: list[dict[str, Any]] = [{"lr": 1e-3}, {"seed": 1}, {"targets": "nonsense"}]
    changes += [{"data": str(other)}, {"eval_data": str(other)}]
    changes += [{"base": tiny_base(tmp_path / "base", seed=1)}]
    for change in changes:
        with pytest.raises(BadInput, match="The run was started with"):
            train(replace(resume, **change), listeners=[RunFolder(run)])
        assert [record.read_bytes() for record in records] == before
    shutil.copy(args.data, moved)
    resumed = train(replace(resume, data=str(moved), save_every=2))  # the same rows
    assert difference(whole.folder, resumed.folder) < NOISE
    with pytest.raises(BadInput, match="contains no run to resume"):
        train(replace(resume, output=str(tmp_path / "empty")))
