"""Ray Train on a cluster of two nodes on this machine: who trains, and what a lost worker costs."""

import json
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from finetune_lora.testing import tiny_base
from finetune_lora.train.scale.processes import ProcessLost
from finetune_lora.train.scale.ray_train import absolute, cause, train_on_ray
from finetune_lora.train.train import TrainArgs, train
from seedbed.errors import BadInput, ConfigError, MissingExtra
from seedbed.testing.launch import launch_ray


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("given")
    rows = [{"prompt": f"reset {'anna ' * (1 + i % 5)}", "completion": f"T-{i}"} for i in range(16)]
    (folder / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return {
        "base": tiny_base(folder / "base"),
        "data": str(folder / "train.jsonl"),
        "dtype": "float32",
        "batch_size": 4,
        "max_steps": 8,
        "save_every": 2,
        "lr": 1e-2,
    }


def test_what_is_wrong_is_said_before_a_cluster_is_started(
    given: dict[str, Any], tmp_path: Path
) -> None:
    args = TrainArgs(**given, output=str(tmp_path / "run"))
    with pytest.raises(ConfigError, match="number of workers: 0"):
        train_on_ray(args, workers=0)
    bad = TrainArgs(**{**given, "data": str(tmp_path / "none.jsonl")}, output=args.output)
    with pytest.raises(BadInput, match=r"none\.jsonl"):
        train_on_ray(bad, workers=2)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(BadInput, match="already contains a run"):
        train_on_ray(args, workers=2)


def test_without_ray_the_error_says_what_to_install(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"finetune-lora\[ray\]"):
        train_on_ray(TrainArgs(**given, output=str(tmp_path / "run")), workers=2)


def test_paths_hold_in_another_folder() -> None:
    args = absolute(TrainArgs("a.jsonl", "run", eval_data="hf:a/b@c", base="path:base"))
    assert args.data == str(Path.cwd() / "a.jsonl")
    assert args.output == str(Path.cwd() / "run")
    assert args.base == f"path:{Path.cwd() / 'base'}"
    assert args.eval_data == "hf:a/b@c"
    assert absolute(TrainArgs("hf:a/b@c", "run")).base == "smollm2"


def test_the_error_of_the_workers_is_what_is_told() -> None:
    pytest.importorskip("ray")
    from ray.train.v2._internal.exceptions import UserExceptionWithTraceback
    from ray.train.v2.api.exceptions import WorkerGroupError

    bad, lost = BadInput("--max-tokens is 8."), ProcessLost("Another process has ended.")
    failures = {0: UserExceptionWithTraceback(lost, "…"), 1: UserExceptionWithTraceback(bad, "…")}
    # As it comes back from the process that watches the workers.
    told = cause(pickle.loads(pickle.dumps(WorkerGroupError("…", failures))))
    assert isinstance(told, BadInput)
    assert str(told) == str(bad)
    killed = cause(WorkerGroupError("…", {0: RuntimeError("died\nof a signal")}))
    assert str(killed).startswith("Training on Ray failed: died")
    assert "--resume" in str(killed)


# Every Python process of the cluster runs it at its start. The worker that writes checkpoints dies
# as it names that of step 4, once.
SITECUSTOMIZE = """
import os, signal, sys
def hook(event, arguments):
    if event == "os.rename" and "step-000004" in str(arguments[1]):
        try:
            os.close(os.open(os.environ["KILLED_ONCE"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
"""


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there after a worker was killed; see SITECUSTOMIZE."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    path = os.pathsep.join(filter(None, (str(tmp_path / "site"), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.setenv("KILLED_ONCE", str(tmp_path / "killed"))
    return tmp_path / "killed"


@pytest.fixture
def cluster(killed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001
    """Two nodes with room for one worker each."""
    monkeypatch.setenv("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # of nodes that are rented
    with launch_ray():
        yield


def test_path_with_spaces_is_refused_before_ray_starts(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(sys, "executable", "/home/ann/my projects/.venv/bin/python")
    with pytest.raises(ConfigError, match=r"path with spaces: /home/ann/my projects/\.venv"):
        train_on_ray(TrainArgs(**given, output=str(tmp_path / "run")), workers=2)


@pytest.mark.slow
@pytest.mark.skipif(" " in sys.executable, reason="Ray starts no workers from a path with spaces")
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("cluster")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray")
def test_a_lost_worker_is_replaced_and_the_adapter_is_the_same(
    given: dict[str, Any], tmp_path: Path, killed: Path
) -> None:
    from safetensors.numpy import load_file

    events: list[dict[str, Any]] = []
    args = TrainArgs(**given, output=str(tmp_path / "ray"))
    result = train_on_ray(args, workers=2, listeners=[events.append], max_losses=1)
    assert killed.exists()
    assert [e["event"] for e in events].count("start") == 2
    assert [e["step"] for e in events if e["event"] == "resume"] == [2]
    assert events[-1]["event"] == "end"
    assert (result.state, result.steps) == ("finished", 8)
    train(TrainArgs(**given, output=str(tmp_path / "one"), accumulation=2))
    one, two = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("one", "ray"))
    assert one.keys() == two.keys()
    assert all(abs(one[name] - two[name]).max() < 1e-4 for name in one)
