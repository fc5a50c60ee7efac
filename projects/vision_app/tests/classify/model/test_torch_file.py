"""Reading torch's legacy checkpoints: the same numbers as torch, and no code of the file runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from vision_app.classify.model import torch_file
from seedbed.errors import WeightsError
from seedbed.models.weights.catalog import MODELS
from seedbed.models.weights.ensure import source_file


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return source_file(MODELS["efficientnet-lite0"])


class RunsCommand:
    """Unpickling it the usual way creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def write_legacy(path: Path, *pickles: object, tail: bytes = b"") -> Path:
    header = (torch_file._MAGIC, torch_file._VERSION, {"little_endian": True})
    data = b"".join(pickle.dumps(value, protocol=2) for value in (*header, *pickles))
    path.write_bytes(data + tail)
    return path


def test_load_returns_arrays_by_name(checkpoint: Path) -> None:
    weights = torch_file.load(checkpoint)
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_conv_stem.weight"].dtype == np.float32
    assert weights["_bn0.num_batches_tracked"].shape == ()
    assert sum(array.size for array in weights.values()) == pytest.approx(4.7e6, rel=0.01)


@pytest.mark.slow
def test_load_equals_torch(checkpoint: Path) -> None:
    torch = pytest.importorskip("torch")
    expected = torch.load(checkpoint, weights_only=True)
    weights = torch_file.load(checkpoint)
    assert list(weights) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(weights[name], tensor.numpy(), strict=True)


def test_pickle_that_runs_a_command_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    path = write_legacy(tmp_path / "evil.pth", {"weight": RunsCommand(trace)}, [])
    with pytest.raises(WeightsError, match=r"evil\.pth .* refers to (posix|nt)\.system"):
        torch_file.load(path)
    assert not trace.exists()


def test_pickle_in_place_of_the_header_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(RunsCommand(trace)))
    with pytest.raises(WeightsError, match="system"):
        torch_file.load(path)
    assert not trace.exists()


def test_functions_of_builtins_are_refused(tmp_path: Path) -> None:
    for function in (eval, getattr, __import__):
        path = write_legacy(tmp_path / "evil.pth", {"weight": function}, [])
        with pytest.raises(WeightsError, match=function.__name__):
            torch_file.load(path)


@pytest.mark.parametrize("size", [0, 10, 5_000, 60_000, 18_000_000])
def test_truncated_checkpoint_is_one_error(checkpoint: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "short.pth"
    path.write_bytes(checkpoint.read_bytes()[:size])
    with pytest.raises(WeightsError, match=r"short\.pth") as excinfo:
        torch_file.load(path)
    assert "\n" not in str(excinfo.value)


def test_tensor_beyond_its_storage_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    data = checkpoint.read_bytes()
    # The shape of `_bn0.weight`, (32,), in the pickle: BININT1 32, TUPLE1.
    place = data.index(b"K\x20\x85")
    path = tmp_path / "large.pth"
    path.write_bytes(data[:place] + b"K\xff\x85" + data[place + 3 :])
    with pytest.raises(WeightsError, match=r"large\.pth"):
        torch_file.load(path)


def test_zip_checkpoint_is_reported_as_another_format(tmp_path: Path) -> None:
    path = tmp_path / "new.pth"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(WeightsError, match="legacy format"):
        torch_file.load(path)
