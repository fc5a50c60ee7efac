"""A folder of labelled images: one sub-folder per class, whose name is the label.

    folder = LabelledFolder(Path("birds"), Config())    # birds/crow/1.jpg, birds/robin/1.jpg, …
    for file, target, pixels in folder:
        print(file, folder.labels[target], pixels.shape)
    print(folder.skipped, folder.warnings)

Images are decoded one at a time, so a folder may be larger than the memory. Features, training and
measuring are left to `train`, `fine_tune` and `evaluate.robustness`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vision_app.config import Config
from vision_app.folders.find_files import find_files
from vision_app.images import open_source
from seedbed.errors import BadInput, SeedbedError

Pixels = npt.NDArray[np.uint8]
LAYOUT = "Put the images of each class into a sub-folder with the name of the class."


class LabelledFolder:
    """Iterates over (file, index of its label, pixels); hidden files and folders are left out.

    Attributes:

        labels      names of the sub-folders, sorted
        files       (path, index of its label) of every image that will be read
        skipped     {"file", "error"} of images that cannot be read or occur twice in a class
        warnings    lines for the user, e.g. about one image in two classes

    `skipped` and `warnings` are complete when the iteration is. Raises BadInput unless there are
    at least two classes, each with an image.
    """

    def __init__(self, folder: Path, config: Config) -> None:
        if not folder.is_dir():
            raise BadInput(f"{folder} is not a folder.", hint=LAYOUT)
        classes = sorted(
            path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
        )
        if len(classes) < 2:
            problem = "no sub-folders" if not classes else f"only one class, {classes[0].name!r}"
            raise BadInput(f"{folder} contains {problem}.", hint=f"{LAYOUT} Two are the minimum.")
        self.folder, self._config = folder, config
        self.labels = tuple(path.name for path in classes)
        self.files = [
            (file, target) for target, path in enumerate(classes) for file in find_files([path])
        ]
        self.skipped: list[dict[str, str]] = []
        self.warnings: list[str] = []

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[tuple[Path, int, Pixels]]:
        self.skipped, self.warnings = [], []
        first: dict[bytes, tuple[Path, int]] = {}
        for file, target in self.files:
            try:
                pixels = open_source(file, config=self._config).first()
            except SeedbedError as error:
                self.skipped.append({"file": self.name(file), "error": str(error)})
                continue
            # Of the pixels, because the same picture may be saved in two formats.
            digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
            original, label = first.setdefault(digest, (file, target))
            if original is not file and label == target:
                # In training and in the held-out images at once, it would raise the accuracy.
                same = f"Same image as {self.name(original)}."
                self.skipped.append({"file": self.name(file), "error": same})
                continue
            if original is not file:
                both = f"{self.name(original)} and {self.name(file)}"
                self.warnings.append(f"{both} are the same image, in two classes.")
            yield file, target, pixels

    def name(self, file: Path) -> str:
        """The path of a file in the folder, e.g. "crow/1.jpg"."""
        return file.relative_to(self.folder).as_posix()

    def require(self, targets: list[int], minimum: int = 2) -> None:
        """Raise BadInput for a class of which fewer than `minimum` images could be read."""
        for target, label in enumerate(self.labels):
            count = targets.count(target)
            if count < minimum:
                raise BadInput(
                    f"Class {label!r} has {count} readable image{'s' * (count != 1)};"
                    f" the minimum is {minimum}.",
                    hint="Add more, ideally five or more per class.",
                )
