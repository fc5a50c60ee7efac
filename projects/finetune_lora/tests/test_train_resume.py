"""Killed at any instant and started again, a training ends with the adapter of an unbroken one.

Processes are real and die of SIGKILL, either when a step is told or at a file operation that an
audit hook sees, so the instant is the same each time.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from finetune_fakes import tiny_base
from safetensors.torch import load_file

from finetune_lora.model import checkpoints
from finetune_lora.model.adapter import read_task
from finetune_lora.runs.run_folder import RunFolder
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.result import TrainResult
from finetune_lora.train.train import train
from seedbed.errors import BadInput, ConfigError, NotFound

# Many processes start and end: on a busy machine a test takes longer than the usual limit.
pytestmark = pytest.mark.timeout(300)
NOISE = 1e-6

# Run by exec in a process of its own, with `args`, `step` and `operation`.
KILLED = """
import os, signal, sys
from finetune_lora.train.train import train

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def listen(event):
    if event["event"] == "step" and event["step"] == step:
        die()

if operation:
    kind, part, left = operation[0], operation[1], [operation[2]]
    def hook(event, arguments):
        if event == kind and any(part in str(one) for one in arguments):
            left[0] -= 1
            if not left[0]:
                die()
    sys.addaudithook(hook)
import torch
torch.set_num_threads(threads)
from pathlib import Path
from finetune_lora.runs.run_folder import RunFolder
train(args, listeners=[RunFolder(Path(args.output)), listen])
"""

# Steps 3, 6, 9 and 10 are kept; each line is a file operation and which of its like it dies at.
OPERATIONS = {
    "first checkpoint, adapter only": ("open", ".writing/checkpoint-3/adapter_config.json", 1),
    "checkpoint not yet named": ("os.rename", "step-000006", 1),
    "an old checkpoint goes": ("shutil.rmtree", "step-000003", 1),
    "adapter half moved": ("os.rename", ".adapter.tmp", 2),
}


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory) -> TrainArgs:
    folder = tmp_path_factory.mktemp("resume")
    names = ["anna", "bob", "order", "laptop", "monitor", "ticket", "refund"]
    rows = [
        {
            "text": f"reset the password of {names[i % 7]} {i * i}",
            "label": "good" if i % 3 else "bad",
        }
        for i in range(30)
    ]
    for name, some in (("train", rows), ("dev", rows[::4])):
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, some)))
    return TrainArgs(
        data=str(folder / "train.jsonl"),
        eval_data=str(folder / "dev.jsonl"),
        output=str(folder / "whole"),
        base=tiny_base(folder / "base"),
        max_steps=10,
        lr=5e-3,
        batch_size=4,
        eval_every=4,
        save_every=3,
        dtype="float32",
        r=4,
    )


@pytest.fixture(scope="module")
def whole(args: TrainArgs) -> TrainResult:
    return train(args)


def killed(args: TrainArgs, *, step: int = 0, operation: tuple[str, str, int] | None = None) -> int:
    """Train in a process that ends as asked; its exit code."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(
        ["finetune_lora.train.trainer", "peft", "transformers.models.llama"]
    )
    names = {
        "args": args,
        "step": step,
        "operation": operation,
        "__name__": "killed",
        "threads": torch.get_num_threads(),
    }
    process = server.Process(target=exec, args=(KILLED, names))
    process.start()
    try:
        process.join(240)
        code = process.exitcode
    finally:
        process.kill()
    assert code is not None, "it did not end"
    return code


def difference(first: Path, second: Path) -> float:
    """The largest difference between the weights of two adapters."""
    one, two = (load_file(f / "adapter_model.safetensors") for f in (first, second))
    assert one.keys() == two.keys()
    return max((one[name] - two[name]).abs().max().item() for name in one)


def no_leftovers(folder: Path) -> bool:
    return not [p for p in folder.rglob(".*") if p.is_file()] and not list(folder.rglob(".*/*"))


@pytest.mark.slow
def test_killed_at_a_step(args: TrainArgs, whole: TrainResult, tmp_path: Path) -> None:
    broken = replace(args, output=str(tmp_path / "run"))
    assert killed(broken, step=5) == -signal.SIGKILL
    last = checkpoints.latest(tmp_path / "run")
    assert last and last.name == "step-000003"
    events: list[dict[str, Any]] = []
    resumed = train(replace(broken, resume=True), listeners=[events.append])
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


VARIANTS: dict[str, dict[str, Any]] = {
    "dropout, recomputed": {"gradient_checkpointing": True, "dropout": 0.2},
    "accumulation, DoRA, parts": {"accumulation": 2, "method": "dora", "micro_tokens": 64},
    "bfloat16": {"dtype": "bfloat16", "weight_decay": 0.1},
}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_training_resumes(args: TrainArgs, tmp_path: Path, variant: str) -> None:
    kind = replace(args, **VARIANTS[variant])
    unbroken = train(replace(kind, output=str(tmp_path / "whole")))
    broken = replace(kind, output=str(tmp_path / "run"))
    assert killed(broken, step=5) == -signal.SIGKILL
    resumed = train(replace(broken, resume=True))
    assert difference(unbroken.folder, resumed.folder) < NOISE
    assert (resumed.steps, resumed.stopped_by) == (unbroken.steps, unbroken.stopped_by)
    assert resumed.eval_loss == pytest.approx(unbroken.eval_loss, abs=1e-6)


@pytest.mark.slow
def test_a_finished_run_is_left_as_it_is(args: TrainArgs, tmp_path: Path) -> None:
    asked = replace(args, output=str(tmp_path / "run"))
    first = train(asked)
    before = (first.folder / "adapter_model.safetensors").read_bytes()
    events: list[dict[str, Any]] = []
    again = train(replace(asked, resume=True), listeners=[events.append])
    assert not [e for e in events if e["event"] == "step"]
    assert (again.steps, again.tokens, again.train_loss) == (10, first.tokens, first.train_loss)
    assert (again.folder / "adapter_model.safetensors").read_bytes() == before
    assert again.eval_loss == pytest.approx(first.eval_loss)


@pytest.mark.slow
def test_the_seed_decides(args: TrainArgs, whole: TrainResult, tmp_path: Path) -> None:
    same = train(replace(args, output=str(tmp_path / "same")))
    other = train(replace(args, output=str(tmp_path / "other"), seed=1))
    assert difference(whole.folder, same.folder) == 0
    assert difference(whole.folder, other.folder) > 1e-3


@pytest.mark.slow
def test_refused_resume_leaves_the_record_of_a_finished_run(
    args: TrainArgs, tmp_path: Path
) -> None:
    rows = Path(args.data).read_text().splitlines()
    (tmp_path / "other.jsonl").write_text("\n".join(rows[:-2]))
    asked = replace(args, output=str(tmp_path / "run"))
    folder = train(asked, listeners=[RunFolder(tmp_path / "run")]).folder
    before = (folder / "run.json").read_bytes()
    for change in ({"data": str(tmp_path / "other.jsonl")}, {"lr": 1e-3}, {"targets": "nonsense"}):
        with pytest.raises((BadInput, ConfigError)):
            again = replace(asked, resume=True, **change)
            train(again, listeners=[RunFolder(tmp_path / "run")])
        assert (folder / "run.json").read_bytes() == before


@pytest.mark.slow
def test_run_killed_before_its_first_checkpoint_refuses_other_data(
    args: TrainArgs, tmp_path: Path
) -> None:
    rows = Path(args.data).read_text().splitlines()
    (tmp_path / "other.jsonl").write_text("\n".join(rows[:-2]))
    asked = replace(args, output=str(tmp_path / "run"))
    assert killed(asked, step=1) == -signal.SIGKILL
    assert checkpoints.latest(tmp_path / "run") is None
    before = (tmp_path / "run" / "run.json").read_bytes()
    other = replace(asked, resume=True, data=str(tmp_path / "other.jsonl"))
    with pytest.raises(BadInput, match="started with data_sha256="):
        train(other, listeners=[RunFolder(tmp_path / "run")])
    assert (tmp_path / "run" / "run.json").read_bytes() == before
    assert train(replace(asked, resume=True)).steps == 10
