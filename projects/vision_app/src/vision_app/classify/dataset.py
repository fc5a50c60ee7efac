"""A folder of labelled images: one sub-folder per class, whose name is the label.

    images = LabelledFolder(Path("birds"), Config())    # birds/crow/1.jpg, birds/robin/1.jpg, …
    for batch in images.batches():
        print(images.names[-len(batch) :], images.targets[-len(batch) :], batch[0].shape)

Features, training and measuring are left to `train`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from vision_app.config import Config
from vision_app.files.images import find_files, open_source
from vision_app.files.pixels import Pixels
from seedbed.cli import Progress
from seedbed.errors import BadInput, NotFound, SeedbedError

_BATCH = 16
_MIN_IMAGES = 2  # of a class: one to train on, one to calibrate on


class LabelledFolder:
    """The images of at least two classes, or BadInput; hidden files and folders are left out.

    `labels` are the names of the sub-folders, sorted. `batches` fills `names` ("crow/1.jpg") and
    `targets` (indices of labels) of the images that it read, and `skipped` ({"file", "error"}).
    """

    def __init__(self, folder: Path, config: Config) -> None:
        if not folder.is_dir():
            raise NotFound(f"Folder {folder} does not exist.")
        classes = [path for path in sorted(folder.glob("[!.]*")) if path.is_dir()]
        if len(classes) < 2:
            hint = "Put the images of each class into a sub-folder with the name of the class."
            count = "one sub-folder" if classes else "no sub-folders"
            raise BadInput(f"{folder} has {count}; two are needed.", hint=hint)
        self._config, self.folder = config, folder
        self.labels = tuple(path.name for path in classes)
        self.files = [
            (file, target) for target, path in enumerate(classes) for file in find_files([path])
        ]
        self.names: list[str] = []
        self.targets: list[int] = []
        self.skipped: list[dict[str, str]] = []

    def batches(self, progress: Progress | None = None) -> Iterator[list[Pixels]]:
        """Yield up to 16 images at a time; to be called once.

        Raises BadInput at the end for a class with fewer than _MIN_IMAGES usable images.
        """
        batch: list[Pixels] = []
        originals: dict[bytes, str] = {}
        for number, (file, target) in enumerate(self.files, 1):
            name = file.relative_to(self.folder).as_posix()
            try:
                pixels = open_source(file, config=self._config).first()
                # Training images must not be among the held-out ones, also not in another format.
                digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
                if (original := originals.setdefault(digest, name)) != name:
                    raise BadInput(f"Same image as {original}.")
                self.names.append(name)
                self.targets.append(target)
                batch.append(pixels)
            except SeedbedError as error:
                self.skipped.append({"file": name, "error": str(error)})
            if progress:
                progress(number, len(self.files), name)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch
        for target, label in enumerate(self.labels):
            if (count := self.targets.count(target)) < _MIN_IMAGES:
                problems = [x["error"] for x in self.skipped if x["file"].startswith(f"{label}/")]
                needed = f"has {count} of the {_MIN_IMAGES} usable images it needs."
                hint = "Add more, ideally five or more per class."
                raise BadInput(" ".join([f"Class {label!r}", needed, *problems[:1]]), hint=hint)
