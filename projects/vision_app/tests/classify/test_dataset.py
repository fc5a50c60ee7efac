"""Folders of labelled images: what is read, what is skipped, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from vision_app.classify.dataset import LabelledFolder
from vision_app.config import Config
from seedbed.errors import BadInput
from seedbed.images import encode_png


def write(folder: Path, name: str, value: int) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode_png(np.full((8, 8, 3), value, np.uint8)))


def test_sub_folders_are_the_labels(tmp_path: Path) -> None:
    for number, name in enumerate(("dog/b.png", "cat/a.png", "cat/more/c.png", ".cache/x.png")):
        write(tmp_path, name, number)
    images = LabelledFolder(tmp_path, Config())
    assert images.labels == ("cat", "dog")
    assert [(images.name(file), target) for file, target, _ in images] == [
        ("cat/a.png", 0),
        ("cat/more/c.png", 0),
        ("dog/b.png", 1),
    ]


def test_unreadable_images_are_skipped_with_the_reason(tmp_path: Path) -> None:
    write(tmp_path, "cat/a.png", 1)
    write(tmp_path, "dog/b.png", 2)
    (tmp_path / "dog" / "notes.png").write_text("not an image")
    images = LabelledFolder(tmp_path, Config())
    assert len(list(images)) == 2
    [skipped] = images.skipped
    assert skipped["file"] == "dog/notes.png"
    assert "text" in skipped["error"]


def test_duplicates_in_one_class_are_skipped_and_in_two_reported(tmp_path: Path) -> None:
    write(tmp_path, "cat/a.png", 1)
    write(tmp_path, "cat/b.png", 1)
    write(tmp_path, "dog/a.png", 1)
    images = LabelledFolder(tmp_path, Config())
    assert len(list(images)) == 2
    assert images.skipped == [{"file": "cat/b.png", "error": "Same image as cat/a.png."}]
    assert images.warnings == ["cat/a.png and dog/a.png are the same image, in two classes."]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["photo.png"], "contains no sub-folders"),
        (["cat/a.png"], "only one class, 'cat'"),
        (["cat/a.png", "dog/notes.txt"], "contains no images"),
    ],
)
def test_folders_without_two_classes_are_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    for name in names:
        write(tmp_path, name, 1)
    with pytest.raises(BadInput, match=message):
        LabelledFolder(tmp_path, Config())


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not a folder"):
        LabelledFolder(tmp_path / "none", Config())


def test_a_class_with_one_image_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "cat/a.png", 1)
    write(tmp_path, "dog/a.png", 2)
    with pytest.raises(BadInput, match="'cat' has 1 readable image; the minimum is 2"):
        LabelledFolder(tmp_path, Config()).require([0, 1, 1])
