"""An index of small pictures, with a classifier by mean colour and a reader without a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vision_app.config import Config
from vision_app.files.pixels import Pixels
from vision_app.ocr.page import Line, Page, Word
from vision_app.search.index import ImageIndex
from seedbed.models.embeddings.hash import HashEmbeddings

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 30), "blue": (30, 30, 200)}


class ColourClassifier:
    """Labels by the nearest colour; the features are an 8x8 picture."""

    labels = tuple(COLOURS)

    def __init__(self, name: str = "colours") -> None:
        self.name = name

    def infer(self, images: Sequence[Pixels]) -> tuple[np.ndarray, np.ndarray]:
        return self.probabilities(images), self._features(images)

    def probabilities(self, images: Sequence[Pixels]) -> Any:
        colours = np.array(list(COLOURS.values()), np.float32)
        means = np.array([image.mean((0, 1)) for image in images], np.float32)
        scores = np.exp(-np.linalg.norm(means[:, None] - colours[None], axis=2) / 20)
        return (scores / scores.sum(1, keepdims=True)).astype(np.float32)

    def _features(self, images: Sequence[Pixels]) -> np.ndarray:
        small = [Image.fromarray(image).resize((8, 8)) for image in images]
        return np.array([np.asarray(image, np.float32).ravel() for image in small])


class CornerReader:
    """Reads the texts that were registered for the colour of a picture's first pixel."""

    def __init__(self) -> None:
        self.texts: dict[tuple[int, ...], str] = {}

    def read(self, pixels: Pixels, number: int = 1) -> Page:
        text = self.texts.get(tuple(pixels[0, 0].tolist()), "")
        box = (0.0, 0.0, 10.0, 10.0)
        words = (tuple(Word(w, box, 0.9) for w in line.split()) for line in text.splitlines())
        return Page(number, pixels.shape[1], pixels.shape[0], tuple(Line(w) for w in words if w))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path / "data", _env_file=None)


@pytest.fixture
def reader() -> CornerReader:
    return CornerReader()


@pytest.fixture
def open_index(config: Config, reader: Any) -> Iterator[Callable[..., ImageIndex]]:
    """Opens indexes of the same folder, and closes them after the test."""
    indexes: list[ImageIndex] = []

    def open_one(model: str = "colours") -> ImageIndex:
        classifier: Any = ColourClassifier(model)
        index = ImageIndex(config, classifier, reader, embeddings=HashEmbeddings())
        indexes.append(index)
        return index

    yield open_one
    for index in indexes:
        index.close()


@pytest.fixture
def index(open_index: Callable[..., ImageIndex]) -> ImageIndex:
    return open_index()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One picture of each colour, with some texture."""
    path = tmp_path / "photos"
    path.mkdir()
    for seed, colour in enumerate(COLOURS):
        paint(path / f"picture{seed}.png", colour, seed)
    return path


@pytest.fixture
def write_picture() -> Callable[..., Pixels]:
    """Writes a picture of a colour with some texture, and returns its pixels."""
    return paint


def paint(path: Path, colour: str, seed: int = 0, size: int = 48) -> Pixels:
    noise = np.random.default_rng(seed).integers(-25, 25, (6, 6, 1))
    small = np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8)
    image = Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC)
    image.save(path)
    return np.asarray(image)
