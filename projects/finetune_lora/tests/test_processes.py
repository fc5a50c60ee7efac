"""Two processes against one: the same losses, step by step, the same adapter, one writer."""

import json
import multiprocessing
import signal
from pathlib import Path
from typing import Any

import pytest
from finetune_fakes import run_torchrun, tiny_base

from finetune_lora.model import checkpoints
from finetune_lora.model.batches import Batches
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.train import train
from seedbed.testing.launch import free_port

pytestmark = pytest.mark.timeout(600)  # a launcher and two processes import all there is
ROWS = [
    {"prompt": f"please reset the password of {name} " * (1 + i % 4), "completion": f"T-10{i}"}
    for i, name in enumerate(["anna", "bob", "order", "laptop", "good", "bad", "great"] * 3)
]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Arguments of a training whose data are no whole number of batches."""
    folder = tmp_path_factory.mktemp("given")
    for name, rows in (("train", ROWS[:19]), ("dev", ROWS[:5])):
        lines = [json.dumps(row) for row in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return {
        "base": tiny_base(folder / "base"),
        "data": str(folder / "train.jsonl"),
        "eval_data": str(folder / "dev.jsonl"),
        "dtype": "float32",
        "batch_size": 4,
        "micro_tokens": 96,  # so that a batch has parts, and processes differ in how many
        "max_steps": 7,  # more than an epoch
        "save_every": 3,
        "eval_every": 3,
        "lr": 1e-2,
    }


TESTS = str(Path(__file__).parent)
WORKER = (f"{TESTS}/launched_training.py",)


def launch(
    args: dict[str, Any], *, code: int = 0, worker: tuple[str, ...] = WORKER
) -> tuple[list[Any], str]:
    """Train in two processes under torchrun; the events it prints, and what else it says."""
    done = run_torchrun([*worker, json.dumps(args)])
    assert done.returncode == code, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


# What a launcher starts, in a process that has imported everything; `victim` is the process that
# dies when the first checkpoint is named, or 0.
PROCESS = """
import contextlib, os, sys, time
os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
               "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
for number, name in ((1, "out"), (2, "err")):
    os.dup2(os.open(f"{folder}/{name}-{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
if victim:
    def hook(event, arguments):
        if event == "os.rename" and "step-000003" in str(arguments[1]):
            os.kill(victim, 9)
    sys.addaudithook(hook)
import torch
torch.set_num_threads(1)
sys.path.insert(0, tests)
import launched_training
code = launched_training.main(args)
def thread_names():
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):  # the thread has ended
            with open(f"/proc/self/task/{task}/comm") as file:
                yield file.read()
# Threads of the process group would abort the process when they outlive the interpreter. A thread
# that was joined is listed a moment longer.
until = time.monotonic() + 30
while left := [name for name in thread_names() if "gloo" in name]:
    assert time.monotonic() < until, left
    time.sleep(0.01)
sys.exit(code)
"""


def together(
    args: dict[str, Any], folder: Path, *, lose: bool = False
) -> tuple[list[Any], list[int | None]]:
    """The same without a launcher, and much faster: the events, and both exit codes."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(
        ["finetune_lora.train.trainer", "peft", "transformers.models.llama"]
    )
    names = {"args": json.dumps(args), "port": free_port(), "folder": folder, "victim": 0}
    names["tests"] = TESTS
    processes = []
    try:
        for rank in (1, 0):
            names |= {"rank": rank, "victim": processes[0].pid if lose and processes else 0}
            processes.append(server.Process(target=exec, args=(PROCESS, dict(names))))
            processes[-1].start()
        for process in processes:
            process.join(240)
    finally:
        for process in processes:
            process.kill()
            process.join()
    events = [json.loads(line) for line in (folder / "out-0").read_text().splitlines()]
    return events, [process.exitcode for process in reversed(processes)]


def alone(args: dict[str, Any]) -> list[dict[str, Any]]:
    """The same in this process, whose batches of a step are twice as many."""
    events: list[dict[str, Any]] = []
    train(TrainArgs(**{**args, "accumulation": 2}), listeners=[events.append])
    return events


def figures(events: list[dict[str, Any]], kind: str, *names: str) -> list[list[float]]:
    return [[e[name] for name in names] for e in events if e["event"] == kind]


def weights(folder: Path | str) -> dict[str, Any]:
    from safetensors.numpy import load_file

    return dict(load_file(Path(folder) / "adapter_model.safetensors"))


def assert_same_adapter(one: Path | str, other: Path | str, tolerance: float = 1e-4) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert abs(weight - theirs[name]).max() < tolerance, name


@pytest.fixture(scope="module")
def single(
    given: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[dict[str, Any]]]:
    output = str(tmp_path_factory.mktemp("single") / "run")
    return output, alone({**given, "output": output})


@pytest.mark.slow
def test_two_processes_train_as_one_does_with_twice_the_batches(
    given: dict[str, Any], single: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, expected = single
    events, codes = together({**given, "output": str(tmp_path / "run")}, tmp_path)
    assert codes == [0, 0], (tmp_path / "err-0").read_text()
    for kind, names in (("step", ("step", "loss", "lr", "grad_norm")), ("eval", ("eval_loss",))):
        for ours, theirs in zip(
            figures(events, kind, *names), figures(expected, kind, *names), strict=True
        ):
            assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    assert figures(events, "step", "tokens", "epoch") == figures(
        expected, "step", "tokens", "epoch"
    )
    assert_same_adapter(tmp_path / "run", folder)
    for kind in ("start", "end"):
        assert sum(e["event"] == kind for e in events) == 1
    assert (tmp_path / "out-1").read_text() == ""


@pytest.mark.slow
def test_where_a_process_is_lost_the_other_ends_and_both_go_on(
    given: dict[str, Any], single: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    args = {**given, "output": str(tmp_path / "run")}
    _, codes = together(args, tmp_path, lose=True)
    assert codes[0] and codes[1] == -signal.SIGKILL
    assert checkpoints.latest(Path(args["output"])) == tmp_path / "run/checkpoints/step-000003"
    events, _ = launch({**args, "resume": True})
    assert figures(events, "resume", "step") == [[3]]
    assert_same_adapter(args["output"], single[0])


@pytest.mark.slow
def test_time_ends_all_processes_together(given: dict[str, Any], tmp_path: Path) -> None:
    args = {**given, "output": str(tmp_path / "run"), "max_steps": 2000, "max_minutes": 0.03}
    events, codes = together({**args, "save_every": 1000, "eval_every": 1000}, tmp_path)
    assert codes == [0, 0]
    assert events[-1]["stopped_by"] == "time"
    assert events[-1]["steps"] < 2000


def test_no_batch_is_lost_when_batches_are_dealt_out_to_processes() -> None:
    from accelerate.data_loader import BatchSamplerShard

    whole = Batches([5, 7, 3, 9, 4, 8, 6], 2, 3.0, seed=1)
    shards = [list(BatchSamplerShard(whole, 2, i)) for i in range(2)]  # type: ignore[arg-type]
    dealt = [batch for pair in zip(*shards, strict=True) for batch in pair]
    assert dealt == list(whole)
