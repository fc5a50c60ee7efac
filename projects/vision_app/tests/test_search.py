"""Search over folders, with a classifier by mean colour and a reader without a model."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vision_app.config import Config
from vision_app.files.pixels import Pixels, decode, encode_png
from vision_app.search import Clip, ImageIndex
from seedbed.errors import BadInput, ConfigError, Unavailable

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 30), "blue": (30, 30, 200)}


class ColourClassifier:
    """Labels by the nearest colour; the features are the mean colour."""

    labels, name = tuple(COLOURS), "colours"

    def infer(self, images: list[Pixels]) -> tuple[Any, Any]:
        colours = np.array(list(COLOURS.values()), np.float32)
        means = np.array([image.mean((0, 1)) for image in images], np.float32)
        scores = np.exp(-np.linalg.norm(means[:, None] - colours[None], axis=2) / 20)
        return scores / scores.sum(1, keepdims=True), means


class CornerReader:
    """Reads the text that was registered for the colour of a picture's first pixel."""

    def __init__(self) -> None:
        self.texts: dict[tuple[int, ...], str] = {}

    def read(self, pixels: Pixels) -> Any:
        text = self.texts.get(tuple(pixels[0, 0].tolist()), "")
        lines = [SimpleNamespace(text=line, confidence=0.9) for line in text.splitlines()]
        return SimpleNamespace(lines=[*lines, SimpleNamespace(text="imagined", confidence=0.3)])


@pytest.fixture
def open_index(tmp_path: Path) -> Callable[[], Any]:
    config = Config(data_dir=tmp_path / "data", _env_file=None)
    return lambda: ImageIndex(config, ColourClassifier(), CornerReader())  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One picture of each colour."""
    path = tmp_path / "photos"
    path.mkdir()
    for name, colour in COLOURS.items():
        paint(path / f"{name[0]}.png", colour)
    return path


@pytest.fixture
def index(open_index: Callable[[], Any], folder: Path) -> Any:
    index = open_index()
    index.add([folder])
    return index


def paint(path: Path, colour: tuple[int, ...]) -> Pixels:
    pixels = np.full((48, 48, 3), colour, np.uint8)
    path.write_bytes(encode_png(pixels))
    return pixels


def names(hits: list[Any]) -> list[str]:
    return [Path(hit["file"]).name for hit in hits]


def test_empty_index_has_no_hits(open_index: Callable[[], Any]) -> None:
    assert open_index().search_text("red") == []
    assert open_index().search_image(np.zeros((9, 9, 3), np.uint8)) == []


def test_image_search_ranks_the_same_picture_first(index: Any, folder: Path) -> None:
    first, second = index.search_image(decode((folder / "g.png").read_bytes()), 2)
    assert names([first]) == ["g.png"] and first["score"] == pytest.approx(1, abs=1e-3)
    assert second["score"] < 0.95


def test_text_search_finds_labels_and_printed_words(index: Any, folder: Path) -> None:
    assert names(index.search_text("something green")) == ["g.png"]
    assert index.search_text("imagined") == []
    paint(folder / "scan.png", (9, 9, 9))
    index._reader.texts[9, 9, 9] = "Acme Ltd\nInvoices INV-0815\nTotal 65.43"
    index.add([folder])
    [hit] = index.search_text("invoice inv-0815")
    assert names([hit]) == ["scan.png"] and hit["score"] == 1
    assert hit["excerpt"] == "Acme Ltd Invoices INV-0815 Total 65.43"


def test_short_and_odd_queries_are_answered(index: Any) -> None:
    for query in ("s", "5 s", "red' OR 1", "\x00 a"):
        assert all(0 < hit["score"] <= 1 for hit in index.search_text(query))
    with pytest.raises(BadInput, match="empty"):
        index.search_text("%")


def test_second_add_reads_only_what_changed(index: Any, folder: Path) -> None:
    for path in folder.iterdir():
        stamp = path.stat()
        path.write_bytes(b"x" * stamp.st_size)  # would fail if it were read
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    pixels = paint(folder / "g.png", (0, 99, 200))
    (folder / "b.png").unlink()
    (folder / "broken.jpg").write_bytes(b"no image")
    summary = index.add([folder, folder / "missing.png"])
    failed = summary.pop("failed")
    assert summary == {"added": 0, "updated": 1, "unchanged": 1, "removed": 1}
    assert [Path(item["file"]).name for item in failed] == ["broken.jpg", "missing.png"]
    assert names(index.search_image(pixels, 1)) == ["g.png"]


def test_interrupted_add_keeps_what_it_read(open_index: Callable[[], Any], folder: Path) -> None:
    def interrupt(done: int, *_: Any) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_index().add([folder], interrupt)
    assert open_index().add([folder])["unchanged"] == 2


def test_damaged_index_is_one_line_that_names_the_file(
    index: Any, open_index: Callable[[], Any]
) -> None:
    index.path.write_bytes(b"garbage" * 100)
    with pytest.raises(Unavailable) as error:
        open_index().search_text("red")
    assert f"Delete {index.path}" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.slow
def test_clip_embeds_images_and_texts_in_one_space(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="not a CLIP or SigLIP model"):
        Clip(f"path:{tmp_path}")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(c + "</w>" for c in letters)]
    (tmp_path / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    files = (str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    tokenizer = transformers.CLIPTokenizer(*files, model_max_length=16)
    sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    images = transformers.CLIPImageProcessor(**sizes)
    transformers.CLIPProcessor(images, tokenizer).save_pretrained(tmp_path)
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    layers["num_attention_heads"] = 2
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = transformers.CLIPConfig(
        text_config={**layers, **ids, "vocab_size": len(tokens), "max_position_embeddings": 16},
        vision_config={**layers, "image_size": 32, "patch_size": 8},
        projection_dim=24,
    )
    transformers.CLIPModel(config).save_pretrained(tmp_path)  # with random weights
    clip = Clip(f"path:{tmp_path}")
    text = clip.embed_text("a dog " * 20)  # longer than the model reads
    for vector in (clip.embed_image(np.zeros((40, 60, 3), np.uint8)), text):
        assert vector.shape == (24,) and np.linalg.norm(vector) == pytest.approx(1)
