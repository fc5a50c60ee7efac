"""Two processes against one: the same losses, step by step, the same adapter, one writer."""

import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from finetune_fakes import difference, tiny_training

from finetune_lora.model import checkpoints
from finetune_lora.runs.run_folder import RunFolder, read_progress, read_run
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.train import train

pytestmark = pytest.mark.timeout(600)  # a launcher and two processes import all there is
WORKER = str(Path(__file__).with_name("launched_training.py"))


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory) -> TrainArgs:
    # So few tokens that a batch has parts, and processes differ in how many.
    return replace(tiny_training(tmp_path_factory.mktemp("processes")), micro_tokens=96)


@pytest.fixture(scope="module")
def single(args: TrainArgs) -> Path:
    """The folder of the same training in this process, whose steps have twice the batches."""
    folder = Path(args.output)
    return train(replace(args, accumulation=2), listeners=[RunFolder(folder)]).folder


def launch(args: TrainArgs, output: Path) -> int:
    """Train in two processes under torchrun, on the CPU; returns the launcher's exit code."""
    words = "-m torch.distributed.run --standalone --nproc-per-node 2 --shutdown-timeout 2".split()
    words += ["--", WORKER, "train", "--no-track"]  # without --, torchrun takes --r for its own
    for name, value in asdict(replace(args, output=str(output))).items():
        if value != getattr(TrainArgs, name):
            words.append(f"--{name.replace('_', '-')}")
            words += [] if value is True else [str(value)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen([sys.executable, *words], env=env) as torchrun:
        try:
            return torchrun.wait(timeout=300)
        finally:
            torchrun.terminate()  # it stops its processes; after its end this does nothing


@pytest.mark.slow
def test_two_processes_train_like_one_with_twice_the_batches(
    args: TrainArgs, single: Path, tmp_path: Path
) -> None:
    assert launch(args, tmp_path / "run") == 0
    ours, theirs = read_progress(tmp_path / "run"), read_progress(single)
    assert len(ours) == len(theirs) == 10
    for one, other in zip(ours, theirs, strict=True):
        for name in ("step", "tokens", "epoch"):
            assert one[name] == other[name]
        for name in ("loss", "lr", "grad_norm", "eval_loss"):
            assert one.get(name, 0) == pytest.approx(other.get(name, 0), rel=1e-3, abs=1e-5)
    assert difference(tmp_path / "run", single) < 1e-4
    lines, expected = ((f / "progress.jsonl").read_text() for f in (tmp_path / "run", single))
    assert lines.count("\n") == expected.count("\n")  # only one process writes


@pytest.mark.slow
def test_lost_process_ends_the_others_and_all_resume(
    args: TrainArgs, single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setenv("LOSE_A_PROCESS", "1")
        assert launch(args, run) != 0
    assert checkpoints.latest(run) == run / "checkpoints" / "step-000003"
    assert launch(TrainArgs(resume=True), run) == 0
    assert difference(run, single) < 1e-4


@pytest.mark.slow
def test_time_limit_ends_all_processes_together(args: TrainArgs, tmp_path: Path) -> None:
    asked = replace(args, max_steps=2000, max_minutes=0.03, save_every=1000, eval_every=1000)
    assert launch(asked, tmp_path / "run") == 0
    results = read_run(tmp_path / "run")["results"]
    assert results["stopped_by"] == "time" and results["steps"] < 2000
