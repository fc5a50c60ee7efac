"""What goes wrong in a training ends it with one clear line, and what was saved stays whole."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from finetune_fakes import tiny_adapter, tiny_base
from safetensors.torch import load_file

from finetune_lora.model import checkpoints
from finetune_lora.runs.run_folder import RunFolder, read_run
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.signals import Stopped
from finetune_lora.train.train import train
from finetune_lora.train.trainer import TrainingFailed
from seedbed.errors import BadInput, ConfigError, DiskError, SeedbedError, WeightsError

pytestmark = pytest.mark.timeout(300)  # the imports alone take long on a busy machine
Event = dict[str, Any]


def rows(count: int = 24) -> list[dict[str, str]]:
    return [
        {"text": f"reset the password of bob {i * i}", "label": ("good", "bad", "none")[i % 3]}
        for i in range(count)
    ]


def write(path: Path, some: list[dict[str, Any]]) -> str:
    path.write_text("\n".join(map(json.dumps, some)))
    return str(path)


@pytest.fixture(autouse=True)
def hears_ctrl_c() -> Iterator[None]:
    """A test run that was started in the background ignores SIGINT, and so would a training."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory) -> TrainArgs:
    folder = tmp_path_factory.mktemp("faults")
    return TrainArgs(
        data=write(folder / "train.jsonl", rows()),
        output=str(folder / "whole"),
        base=tiny_base(folder / "base"),
        max_steps=8,
        lr=5e-3,
        batch_size=4,
        save_every=3,
        dtype="float32",
        r=4,
    )


@pytest.fixture(scope="module")
def whole(args: TrainArgs) -> Path:
    """The folder of an unbroken training."""
    return train(args).folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def assert_same(first: Path, second: Path) -> None:
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    assert max((one[k] - two[k]).abs().max().item() for k in one) < 1e-6


def at_step(step: int, act: Callable[[], Any]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if event["event"] == "step" and event["step"] == step:
            act()

    return listen


def one_line(error: pytest.ExceptionInfo[SeedbedError]) -> bool:
    return "\n" not in str(error.value) and len(str(error.value)) < 500


# ── a full disk ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this system does not let users mount a filesystem")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # weights may still be mapped


def fill(disk: Path, leave: int) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        file.truncate(max(0, file.tell() - leave))


@pytest.mark.slow
@pytest.mark.parametrize("leave", [0, 110_000])
def test_a_full_disk(args: TrainArgs, whole: Path, small_disk: Path, leave: int) -> None:
    broken = replace(args, output=str(small_disk / "run"))
    record = RunFolder(small_disk / "run")
    with pytest.raises(DiskError, match=r"could not be written .*--resume") as error:
        train(broken, listeners=[record, at_step(4, lambda: fill(small_disk, leave))])
    assert one_line(error)
    last = checkpoints.latest(small_disk / "run")
    assert last is not None
    assert last.name == "step-000003"
    assert weights(last)
    (small_disk / "filler").unlink()
    resumed = train(replace(broken, resume=True), listeners=[record])
    assert_same(whole, resumed.folder)
    assert read_run(small_disk / "run")["state"] == "finished"


# ── a loss that is no number ────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_learning_rate_far_too_high(args: TrainArgs, tmp_path: Path) -> None:
    asked = replace(args, output=str(tmp_path / "run"), lr=1e25, save_every=1)
    events: list[Event] = []
    with pytest.raises(TrainingFailed, match=r"became (nan|inf) at step \d.*--lr below") as error:
        train(asked, listeners=[events.append])
    assert one_line(error)
    assert events[-1]["state"] == "failed"
    last = checkpoints.latest(tmp_path / "run")
    assert last is not None
    assert last.name in str(error.value)
    assert all(torch.isfinite(one).all() for one in weights(last).values())


# ── Ctrl-C and SIGTERM ──────────────────────────────────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_checkpoint(
    args: TrainArgs, whole: Path, tmp_path: Path, number: int
) -> None:
    broken = replace(args, output=str(tmp_path / "run"))
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    record = RunFolder(tmp_path / "run")
    # To this thread: another one might take the signal, and on a busy machine much later.
    kill = at_step(4, lambda: signal.raise_signal(number))
    with pytest.raises(Stopped, match=r"after step [45].*--resume"):
        train(broken, listeners=[record, kill])
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert read_run(tmp_path / "run")["state"] == "stopped"
    last = checkpoints.latest(tmp_path / "run")
    assert last is not None
    assert last.name in ("step-000004", "step-000005")
    assert_same(whole, train(replace(broken, resume=True)).folder)


@pytest.mark.slow
def test_asked_twice_it_ends_at_once(args: TrainArgs, tmp_path: Path) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    broken = replace(args, output=str(tmp_path / "run"))
    with pytest.raises(Stopped, match="immediately"):
        train(broken, listeners=[at_step(5, twice)])
    last = checkpoints.latest(tmp_path / "run")
    assert last is not None
    assert last.name == "step-000003"
    assert train(replace(broken, resume=True)).steps == 8


# ── what is refused before anything is written ──────────────────────────────────────────────


def refused(args: TrainArgs, tmp_path: Path, match: str, **other: Any) -> None:
    with pytest.raises(SeedbedError, match=match) as error:
        train(replace(args, output=str(tmp_path / "run"), **other))
    assert one_line(error)
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_used(args: TrainArgs, tmp_path: Path) -> None:
    one = write(tmp_path / "one.jsonl", rows(1))
    refused(args, tmp_path, "only 1 training row", data=one)
    (tmp_path / "empty.jsonl").write_text("")
    refused(args, tmp_path, "empty", data=str(tmp_path / "empty.jsonl"))
    long = write(tmp_path / "long.jsonl", [*rows(3), {"text": "word " * 2000, "label": "good"}])
    refused(args, tmp_path, r"long\.jsonl, line 4 has \d+ tokens", data=long)
    unseen = write(tmp_path / "unseen.jsonl", [{"text": "hi", "label": "odd"}])
    refused(args, tmp_path, "odd", eval_data=unseen)
    refused(args, tmp_path, "not-there", data=str(tmp_path / "not-there.jsonl"))


@pytest.mark.slow
def test_a_long_row_can_be_cut(args: TrainArgs, tmp_path: Path) -> None:
    long = write(tmp_path / "long.jsonl", [*rows(6), {"text": "word " * 2000, "label": "good"}])
    asked = replace(args, data=long, truncate=True, max_tokens=200, output=str(tmp_path / "run"))
    assert train(asked).steps == 8
    refused(args, tmp_path / "other", "no answers to learn", truncate=True, max_tokens=8)


def test_a_base_that_cannot_be_used(args: TrainArgs, tmp_path: Path) -> None:
    refused(args, tmp_path, "chat template", base=tiny_base(tmp_path / "b", template=False))
    refused(args, tmp_path, "no-such", base="no-such")
    refused(args, tmp_path, "not-there", base=f"path:{tmp_path / 'not-there'}")
    adapter = tiny_adapter(tmp_path / "adapter", args.base)
    refused(args, tmp_path, "cannot be trained", base=f"path:{adapter}")


def test_a_damaged_base(args: TrainArgs, tmp_path: Path) -> None:
    whole = Path(args.base.removeprefix("path:"))
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        folder = tmp_path / f"without-{name}"
        shutil.copytree(whole, folder)
        (folder / name).write_bytes((folder / name).read_bytes()[:100])
        refused(args, tmp_path, "without-", base=f"path:{folder}")
        with pytest.raises(WeightsError):
            train(replace(args, base=f"path:{folder}", output=str(tmp_path / "run")))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("batch_size", 0, "--batch-size: 0"),
        ("max_tokens", 1, "--max-tokens: 1"),
        ("lr", 0.0, "lr must"),
        ("max_minutes", -1.0, "--max-minutes"),
        ("r", 0, "Invalid --r: 0"),
        ("save_every", 0, "--save-every"),
        ("accumulation", 0, "accumulation"),
        ("dtype", "int3", "int3"),
        ("method", "magic", "magic"),
        ("targets", "nonsense", "nonsense"),
    ],
)
def test_arguments_that_make_no_sense(
    args: TrainArgs, tmp_path: Path, name: str, value: object, said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as error:
        train(replace(args, output=str(tmp_path / "run"), **{name: value}))  # type: ignore[arg-type]
    assert one_line(error)


# ── resuming what is not the same, and folders that are taken ───────────────────────────────


@pytest.mark.slow
def test_resuming_something_else(args: TrainArgs, tmp_path: Path) -> None:
    asked = replace(args, output=str(tmp_path / "run"))
    first = train(asked)
    before = weights(first.folder)
    other = write(tmp_path / "other.jsonl", rows(30))
    changes: list[dict[str, Any]] = [
        {"lr": 1e-3},
        {"seed": 1},
        {"r": 8},
        {"data": other},
        {"eval_data": other},
        {"batch_size": 2},
        {"base": tiny_base(tmp_path / "base", seed=1)},
    ]
    for change in changes:
        with pytest.raises(BadInput, match="The run was started with") as error:
            train(replace(asked, resume=True, **change))
        assert one_line(error)
    assert all(torch.equal(before[k], v) for k, v in weights(first.folder).items())
    moved = tmp_path / "moved.jsonl"
    shutil.copy(asked.data, moved)
    train(replace(asked, resume=True, data=str(moved), save_every=2))  # the same rows


@pytest.mark.slow
def test_a_folder_that_is_taken(args: TrainArgs, tmp_path: Path) -> None:
    train(replace(args, output=str(tmp_path / "run"), max_steps=1))
    with pytest.raises(BadInput, match=r"already contains a run.*--resume"):
        train(replace(args, output=str(tmp_path / "run")))
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is a file"):
        train(replace(args, output=str(tmp_path / "file")))


@pytest.mark.slow
def test_a_run_that_failed_before_its_first_step_leaves_the_folder_free(
    args: TrainArgs, tmp_path: Path
) -> None:
    again = replace(args, output=str(tmp_path / "run"), max_steps=1)
    record = RunFolder(tmp_path / "run")
    with pytest.raises(ConfigError, match="nonsense"):
        train(replace(again, targets="nonsense"), listeners=[record])
    assert not (tmp_path / "run").exists()
    record({"event": "start", "args": {}, "base": "tiny", "steps": 1})
    record({"event": "end", "state": "failed", "error": "Out of memory."})
    assert train(again, listeners=[record]).state == "finished"
    with pytest.raises(BadInput, match="already contains a run"):
        train(again)
