"""Folders of labelled images: what is read, what is skipped, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from vision_app.classify.dataset import LabelledFolder
from vision_app.config import Config
from vision_app.files.pixels import encode_png
from seedbed.errors import BadInput, NotFound


def write(folder: Path, name: str, value: int) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encode_png(np.full((8, 8, 3), value, np.uint8)))


def test_images_come_in_batches_with_their_labels(tmp_path: Path) -> None:
    for number in range(17):
        write(tmp_path, f"cat/more/{number:02}.png", number)
    write(tmp_path, "dog/b.png", 100)
    write(tmp_path, "dog/c.png", 101)
    write(tmp_path, ".cache/x.png", 102)
    (tmp_path / "dog" / "last.png").write_text("not an image")
    images = LabelledFolder(tmp_path, Config())
    batches = list(images.batches())
    assert images.labels == ("cat", "dog")
    assert [len(batch) for batch in batches] == [16, 3]
    assert [int(pixels[0, 0, 0]) for batch in batches for pixels in batch] == [*range(17), 100, 101]
    assert images.names[0] == "cat/more/00.png"
    assert images.targets == [0] * 17 + [1, 1]
    assert images.skipped[0]["file"] == "dog/last.png"
    assert "not an image" in images.skipped[0]["error"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["photo.png"], "has no sub-folders; two are needed"),
        (["cat/a.png"], "has one sub-folder;"),
        (["cat/a.png", "dog/notes.txt"], "contains no images"),
        (["cat/a.png", "dog/a.png"], "'cat' has 1 of the 2 usable images it needs"),
    ],
)
def test_folders_without_two_classes_are_refused(
    tmp_path: Path, names: list[str], message: str
) -> None:
    for number, name in enumerate(names):
        write(tmp_path, name, number)
    with pytest.raises(BadInput, match=message):
        list(LabelledFolder(tmp_path, Config()).batches())
    with pytest.raises(NotFound, match="none does not exist"):
        LabelledFolder(tmp_path / "none", Config())


def test_class_of_copies_names_their_originals(tmp_path: Path) -> None:
    for name in ("cat/a.png", "cat/b.png", "dog/a.png", "dog/b.png"):
        write(tmp_path, name, ord(name[4]))
    with pytest.raises(BadInput, match=r"'dog' has 0 .* Same image as cat/a"):
        list(LabelledFolder(tmp_path, Config()).batches())
