"""Labels and confidences of photographs; what is not a photograph is not sure; trained heads."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vision_app.classify.classifier import Classifier, Head, load_classifier, load_head
from vision_app.config import Config
from vision_app.files.pixels import Pixels
from vision_app.files.samples import samples
from seedbed.errors import ConfigError, NotFound
from seedbed.settings import Settings

HEAD = Head(("cat", "dög"), "efficientnet-lite0", 1.5, np.eye(2, 3), np.zeros(2))


def test_classify_returns_the_best_labels_first(classifier: Classifier, pagoda: Pixels) -> None:
    [result] = classifier.classify([pagoda], k=3)
    [row], _ = classifier.infer([pagoda])
    best = {"label": "palace", "confidence": round(float(row.max()), 4)}
    assert result["labels"][0] == best and result["sure"] is False
    confidences = [item["confidence"] for item in result["labels"]]
    assert len(confidences) == 3 and confidences == sorted(confidences, reverse=True)
    sure = Classifier(classifier.model, classifier.temperature, row.max() - 0.01)
    assert sure.classify([pagoda])[0]["sure"] is True
    assert classifier.classify([]) == []


def text_page(lines: int, size: int) -> Pixels:
    page = Image.new("RGB", (800, 1100), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=size)
    for line in range(lines):
        draw.text((60, 60 + line * size * 1.4), f"Line {line}: total 12.50 EUR", "black", font)
    return np.asarray(page)


def test_images_without_an_object_are_not_sure(classifier: Classifier) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    images = {
        "white": np.full((300, 200, 3), 255, np.uint8),
        "colour": np.full((50, 50, 3), (255, 0, 0), np.uint8),
        "noise": noise,
        "coarse noise": np.kron(noise[:10, :10], np.ones((30, 30, 1), np.uint8)),
        "one line": text_page(1, 18),
        "full page": text_page(40, 18),
        "large letters": text_page(10, 60),
        # The model calls them "web site", the receipt with 0.6.
        **{x.name: np.asarray(Image.open(x.path).convert("RGB")) for x in samples()[:2]},
    }
    results = dict(zip(images, classifier.classify(list(images.values())), strict=True))
    assert [name for name, result in results.items() if result["sure"]] == []


def test_photograph_of_a_known_object_is_sure(classifier: Classifier) -> None:
    origin = importlib.util.find_spec("gradio").origin  # importing it takes seconds
    path = Path(origin).parent / "media_assets/images/lion.jpg"
    [result] = classifier.classify([np.asarray(Image.open(path).convert("RGB"))])
    assert result["sure"] and result["labels"][0]["label"] == "lion"


def test_trained_head_is_a_classifier(
    classifier: Classifier, pagoda: Pixels, dahlia: Pixels, tmp_path: Path
) -> None:
    features = classifier.infer([pagoda, dahlia])[1]
    weight = features - features.mean(axis=0)  # of each class, what sets its image apart
    names = set()
    for factor in (1, 2):
        bias = np.zeros(2, np.float32)
        labels, backbone = ("building", "web site"), "efficientnet-lite0"
        Head(labels, backbone, 2.0, factor * weight, bias).save(tmp_path)
        own = load_classifier(Config(classifier=f"path:{tmp_path}"), Settings())
        results = own.classify([pagoda, dahlia])
        assert [x["labels"][0]["label"] for x in results] == ["building", "web site"]
        assert results[1]["sure"] and own.temperature == 2.0  # a class of one's own may be a page
        names.add(own.name)  # depends on the weights
    assert len(names | {classifier.name}) == 3


def test_damaged_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"head\.safetensors is missing.* vision-app train"):
        load_classifier(Config(classifier=f"path:{tmp_path}"), Settings())
    replace(HEAD, labels=("cat",)).save(tmp_path)
    with pytest.raises(ConfigError, match="do not fit 1 labels"):
        load_head(tmp_path)
    HEAD.save(tmp_path)
    assert load_head(tmp_path).labels == HEAD.labels
    file = tmp_path / "head.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ConfigError, match="damaged"):
        load_head(tmp_path)
