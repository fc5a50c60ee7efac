"""The folder of a trained head: saved, loaded, and refused when damaged."""

import json
from pathlib import Path

import numpy as np
import pytest

from vision_app.classify.classifier import Head, load_head
from seedbed.errors import ConfigError, NotFound

HEAD = Head(
    ("cat", "dög"),
    "efficientnet-lite0",
    1.5,
    np.array([[1, 0, 2], [0, 1, 0]], np.float32),
    np.array([0.5, 0], np.float32),
)


def test_a_saved_head_gives_the_same_logits(tmp_path: Path) -> None:
    HEAD.save(tmp_path)
    head = load_head(tmp_path)
    assert (head.labels, head.backbone, head.temperature) == (HEAD.labels, HEAD.backbone, 1.5)
    assert head.logits(np.array([[1, 2, 3]], np.float32)).tolist() == [[7.5, 2.0]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["head.json", "head.safetensors"]


def test_a_folder_without_a_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"head\.json is missing"):
        load_head(tmp_path)


def test_a_head_that_does_not_fit_its_matrix_is_refused(tmp_path: Path) -> None:
    HEAD.save(tmp_path)
    about = json.loads((tmp_path / "head.json").read_text("utf-8"))
    (tmp_path / "head.json").write_text(json.dumps(about | {"labels": ["cat"]}), "utf-8")
    with pytest.raises(ConfigError, match="do not fit 1 labels"):
        load_head(tmp_path)


@pytest.mark.parametrize("name", ["head.json", "head.safetensors"])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str) -> None:
    HEAD.save(tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ConfigError, match="damaged"):
        load_head(tmp_path)
