"""Two processes against one: the same losses, step by step, the same adapter, one writer."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from finetune_lora import checkpoints
from finetune_lora.batches import Batches
from finetune_lora.testing import tiny_base
from finetune_lora.train import TrainArgs, train

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


def command(args: dict[str, Any]) -> list[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"]
    worker = [sys.executable, "-m", "finetune_lora.scale.worker", json.dumps(args)]
    return [*torchrun, "--nproc-per-node", "2", *worker]


def launch(args: dict[str, Any], *, code: int = 0, **environment: str) -> tuple[list[Any], str]:
    """Train in two processes; the events on standard output, and what stands on the other."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **environment}
    done = subprocess.run(
        command(args), capture_output=True, text=True, timeout=1200, env=env, check=False
    )
    assert done.returncode == code, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


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


def test_two_processes_train_as_one_does_with_twice_the_batches(
    given: dict[str, Any], single: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, expected = single
    events, errors = launch({**given, "output": str(tmp_path / "run")})
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
    assert "Traceback" not in errors


def test_two_processes_go_on_where_they_were_killed(
    given: dict[str, Any], single: tuple[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    args = {**given, "output": str(tmp_path / "run")}
    env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    started = subprocess.Popen(
        command(args), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert started.stdout is not None
    for line in started.stdout:
        if json.loads(line)["event"] == "checkpoint":
            break
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    for pid in children_of(args["output"]):
        os.kill(pid, signal.SIGKILL)
    assert checkpoints.latest(Path(args["output"])) is not None
    events, _ = launch({**args, "resume": True})
    assert figures(events, "resume", "step")[0][0] in (3, 6)
    assert_same_adapter(args["output"], single[0])


def children_of(output: str) -> list[int]:
    """The processes that train into `output`: torchrun starts each in a session of its own."""
    import psutil

    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(output in word for word in words) and process.pid != os.getpid():
            found.append(process.pid)
    return found


def test_an_error_that_all_processes_meet_is_said_once(
    given: dict[str, Any], tmp_path: Path
) -> None:
    args = {**given, "output": str(tmp_path / "run"), "data": str(tmp_path / "none.jsonl")}
    _, errors = launch(args, code=1)
    assert sum(args["data"] in line for line in errors.splitlines()) == 1
    assert "Process 1 of 2" not in errors


def test_an_error_in_one_process_ends_both(given: dict[str, Any], tmp_path: Path) -> None:
    # As on a machine that does not see the data.
    script = (
        "import os, sys, json\n"
        "from finetune_lora.scale import worker\n"
        "args = json.loads(sys.argv[1])\n"
        "if os.environ['RANK'] == '1': args['data'] = 'missing.jsonl'\n"
        "sys.exit(worker.main(json.dumps(args)))\n"
    )
    (tmp_path / "odd.py").write_text(script)
    args = {**given, "output": str(tmp_path / "run")}
    begun = time.monotonic()
    done = subprocess.run(
        [*command(args)[:-3], str(tmp_path / "odd.py"), json.dumps(args)],
        capture_output=True, text=True, timeout=1200, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 1
    assert time.monotonic() - begun < 100
    said = [line for line in done.stderr.splitlines() if line.startswith("Process 1 of 2: ")]
    assert len(said) == 1
    assert "missing.jsonl" in said[0]


def test_time_and_patience_end_all_processes_together(
    given: dict[str, Any], tmp_path: Path
) -> None:
    args = {**given, "output": str(tmp_path / "run"), "max_steps": 2000, "max_minutes": 0.1}
    events, _ = launch({**args, "save_every": 1000, "eval_every": 1000})
    end = events[-1]
    assert end["event"] == "end"
    assert end["stopped_by"] == "time"
    assert end["steps"] < 2000
    args |= {"output": str(tmp_path / "patient"), "max_minutes": 5, "lr": 10.0, "patience": 1}
    events, _ = launch({**args, "eval_every": 1})
    assert events[-1]["stopped_by"] == "patience"


def test_no_batch_is_lost_when_batches_are_dealt_out_to_processes() -> None:
    from accelerate.data_loader import BatchSamplerShard

    whole = Batches([5, 7, 3, 9, 4, 8, 6], 2, 3.0, seed=1)
    shards = [list(BatchSamplerShard(whole, 2, i)) for i in range(2)]  # type: ignore[arg-type]
    dealt = [batch for pair in zip(*shards, strict=True) for batch in pair]
    assert dealt == list(whole)
