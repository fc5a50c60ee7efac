"""Reading torch's legacy checkpoints without torch; no code of the file runs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from vision_app.classify import efficientnet
from seedbed.models.weights.catalog import MODELS
from seedbed.models.weights.ensure import source_file


class RunsCommand:
    """Unpickling it the usual way creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_load_returns_arrays_by_name() -> None:
    weights = efficientnet.load_checkpoint(source_file(MODELS["efficientnet-lite0"]))
    assert weights["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert weights["_conv_stem.weight"].dtype == np.float32
    assert weights["_bn0.num_batches_tracked"].shape == ()
    assert sum(array.size for array in weights.values()) == pytest.approx(4.7e6, rel=0.01)


def test_pickle_that_runs_a_command_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(RunsCommand(tmp_path / "trace"), protocol=2))
    with pytest.raises(pickle.UnpicklingError, match=r"refers to (posix|nt)\.system"):
        efficientnet.load_checkpoint(path)
    assert not (tmp_path / "trace").exists()
