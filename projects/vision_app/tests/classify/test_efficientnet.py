"""Reading torch's legacy checkpoints: the same numbers as torch, and no code of the file runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from vision_app.classify import efficientnet
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


def test_load_returns_arrays_by_name(checkpoint: Path) -> None:
    weights = efficientnet.load_checkpoint(checkpoint)
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_conv_stem.weight"].dtype == np.float32
    assert weights["_bn0.num_batches_tracked"].shape == ()
    assert sum(array.size for array in weights.values()) == pytest.approx(4.7e6, rel=0.01)


def test_pickle_that_runs_a_command_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(RunsCommand(tmp_path / "trace"), protocol=2))
    with pytest.raises(WeightsError, match=r"evil\.pth .* refers to (posix|nt)\.system"):
        efficientnet.load_checkpoint(path)
    assert not (tmp_path / "trace").exists()


def test_damaged_checkpoint_is_one_error(checkpoint: Path, tmp_path: Path) -> None:
    path, data = tmp_path / "short.pth", checkpoint.read_bytes()
    # The shape of `_bn0.weight`, (32,), in the pickle: BININT1 32, TUPLE1.
    place = data.index(b"K\x20\x85")
    beyond_its_storage = data[:place] + b"K\xff\x85" + data[place + 3 :]
    for content in (b"", data[:5_000], data[:18_000_000], beyond_its_storage):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"short\.pth") as excinfo:
            efficientnet.load_checkpoint(path)
        assert "\n" not in str(excinfo.value)
