"""What goes wrong in a training ends it with one clear line, and what was saved stays whole."""

from __future__ import annotations

import re
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
from finetune_fakes import difference, killed, tiny_adapter, tiny_base, tiny_training
from safetensors.torch import load_file

from finetune_lora.model import checkpoints
from finetune_lora.runs.run_folder import RunFolder, read_run
from finetune_lora.train.arguments import TrainArgs
from finetune_lora.train.train import train
from seedbed.errors import BadInput, DiskError, SeedbedError

pytestmark = pytest.mark.timeout(300)  # the imports alone take long on a busy machine
Event = dict[str, Any]
NOISE = 1e-6


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory) -> TrainArgs:
    return tiny_training(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def whole(args: TrainArgs) -> Path:
    """The folder of an unbroken training."""
    return train(args).folder


def at_step(step: int, act: Callable[[], Any]) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if event["event"] == "step" and event["step"] == step:
            act()

    return listen


def one_line(error: pytest.ExceptionInfo[SeedbedError]) -> bool:
    return "\n" not in str(error.value) and len(str(error.value)) < 500


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
def test_full_disk_keeps_the_last_checkpoint(
    args: TrainArgs, whole: Path, small_disk: Path
) -> None:
    run = small_disk / "run"
    broken, record = replace(args, output=str(run)), RunFolder(run)
    with pytest.raises(DiskError, match=r"could not be written .*--resume") as error:
        train(broken, listeners=[record, at_step(4, lambda: fill(small_disk, leave=110_000))])
    assert one_line(error)
    last = checkpoints.latest(run)
    assert last and last.name == "step-000003"
    (small_disk / "filler").unlink()
    assert difference(whole, train(replace(broken, resume=True), listeners=[record]).folder) < NOISE
    assert read_run(run)["state"] == "finished"


@pytest.mark.slow
def test_loss_that_is_not_finite_ends_the_training(args: TrainArgs, tmp_path: Path) -> None:
    events: list[Event] = []
    with pytest.raises(SeedbedError, match=r"became (nan|inf) at step \d.*--lr below") as error:
        train(
            replace(args, output=str(tmp_path / "run"), lr=1e25, save_every=1),
            listeners=[events.append],
        )
    assert one_line(error)
    assert events[-1]["state"] == "failed"
    last = checkpoints.latest(tmp_path / "run")
    assert last and last.name in str(error.value)
    weights = load_file(last / "adapter_model.safetensors")
    assert all(torch.isfinite(weight).all() for weight in weights.values())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_training_with_a_checkpoint(
    args: TrainArgs, whole: Path, tmp_path: Path, number: int
) -> None:
    broken = replace(args, output=str(tmp_path / "run"))
    assert killed(broken, step=4, signals=(number,)) == 130
    record = read_run(tmp_path / "run")
    assert record["state"] == "stopped" and re.search(r"after step [45].*--resume", record["error"])
    last = checkpoints.latest(tmp_path / "run")
    assert last and last.name in ("step-000004", "step-000005")
    assert difference(whole, train(replace(broken, resume=True)).folder) < NOISE


@pytest.mark.slow
def test_second_signal_ends_the_training_at_once(args: TrainArgs, tmp_path: Path) -> None:
    broken = replace(args, output=str(tmp_path / "run"))
    assert killed(broken, step=5, signals=(signal.SIGINT, signal.SIGINT)) == 130
    assert "immediately" in read_run(tmp_path / "run")["error"]
    last = checkpoints.latest(tmp_path / "run")
    assert last and last.name == "step-000003"
    assert train(replace(broken, resume=True)).steps == 10


# ── what is refused before anything is written ──────────────────────────────────────────────


def refused(args: TrainArgs, tmp_path: Path, match: str, **other: Any) -> None:
    with pytest.raises(SeedbedError, match=match) as error:
        train(replace(args, output=str(tmp_path / "run"), **other))
    assert one_line(error)
    assert not (tmp_path / "run").exists()


def test_data_that_cannot_be_used_is_refused(args: TrainArgs, tmp_path: Path) -> None:
    def write(*rows: str) -> str:
        file = tmp_path / "rows.csv"
        file.write_text("\n".join(["text,label", *rows]))
        return str(file)

    refused(args, tmp_path, "fewer than two rows", data=write("hi,good"))
    refused(args, tmp_path, "empty", data=write())
    long = "word " * 2000 + ",good"
    refused(args, tmp_path, r"line 3 has \d+ tokens", data=write("hi,good", long))
    refused(args, tmp_path, "odd", eval_data=write("hi,odd"))
    refused(args, tmp_path, "not-there", data=str(tmp_path / "not-there.jsonl"))
    refused(args, tmp_path, "fewer than two rows", truncate=True, max_tokens=8)


def test_base_that_cannot_be_used_is_refused(args: TrainArgs, tmp_path: Path) -> None:
    refused(args, tmp_path, "chat template", base=tiny_base(tmp_path / "b", template=False))
    refused(args, tmp_path, "no-such", base="no-such")
    refused(args, tmp_path, "not-there", base=f"path:{tmp_path / 'not-there'}")
    adapter = tiny_adapter(tmp_path / "adapter", args.base)
    refused(args, tmp_path, "cannot be trained", base=f"path:{adapter}")
    refused(args, tmp_path, "nonsense", targets="nonsense")
    refused(args, tmp_path, "CUDA", method="qlora")


@pytest.mark.slow
def test_folder_of_another_run_is_refused(args: TrainArgs, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"already contains a run.*--resume"):
        train(replace(args, output=str(whole)))
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is a file"):
        train(replace(args, output=str(tmp_path / "file")))
