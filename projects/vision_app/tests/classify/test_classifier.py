"""Labels and confidences of photographs; what is not a photograph is not sure; trained heads."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vision_app.classify.classifier import Classifier, Head, load_classifier
from vision_app.classify.image_model import load_image_model
from vision_app.config import Config
from vision_app.files.pixels import Pixels
from seedbed.errors import ConfigError, NotFound
from seedbed.settings import Settings


def text_page(lines: int, size: int) -> Pixels:
    page = Image.new("RGB", (800, 1100), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=size)
    for line in range(lines):
        draw.text((60, 60 + line * size * 1.4), f"Line {line}: total 12.50 EUR", "black", font)
    return np.asarray(page)


def other_images() -> dict[str, Pixels]:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (300, 400, 3), np.uint8)
    return {
        "white": np.full((300, 200, 3), 255, np.uint8),
        "black": np.zeros((300, 200, 3), np.uint8),
        "colour": np.full((50, 50, 3), (255, 0, 0), np.uint8),
        "noise": noise,
        "grey noise": np.repeat(noise[..., :1], 3, axis=2),
        "coarse noise": np.kron(noise[:10, :10], np.ones((30, 30, 1), np.uint8)),
        "one line": text_page(1, 18),
        "half a page": text_page(20, 18),
        "full page": text_page(40, 18),
        "large letters": text_page(10, 60),
    }


def test_classify_returns_the_best_labels_first(classifier: Classifier, pagoda: Pixels) -> None:
    [prediction] = classifier.classify([pagoda], k=3)
    assert prediction.labels[0].label == "palace"
    confidences = [label.confidence for label in prediction.labels]
    assert len(confidences) == 3 and confidences == sorted(confidences, reverse=True)
    document = prediction.as_json()
    assert document["labels"][0] == {"label": "palace", "confidence": round(confidences[0], 4)}
    assert document["sure"] is False


def test_sure_depends_on_the_minimum_confidence(classifier: Classifier, pagoda: Pixels) -> None:
    [row] = classifier.probabilities([pagoda])
    for least, sure in ((row.max() - 0.01, True), (row.max() + 0.01, False)):
        other = Classifier(classifier.model, classifier.temperature, least)
        assert other.classify([pagoda])[0].sure is sure


@pytest.mark.parametrize("name", other_images())
def test_images_without_an_object_are_not_sure(classifier: Classifier, name: str) -> None:
    assert not classifier.classify([other_images()[name]])[0].sure


@pytest.mark.parametrize("name", ["invoice.png", "receipt.png"])
def test_documents_are_not_sure(classifier: Classifier, name: str) -> None:
    """The model calls them "web site", the receipt with 0.6."""
    import vision_app.files.samples

    path = Path(str(vision_app.files.samples.__file__)).parent / name
    assert not classifier.classify([np.asarray(Image.open(path).convert("RGB"))])[0].sure


def test_photograph_of_a_known_object_is_sure(classifier: Classifier) -> None:
    origin = importlib.util.find_spec("gradio").origin  # importing it takes seconds
    path = Path(origin).parent / "media_assets/images/lion.jpg"
    [prediction] = classifier.classify([np.asarray(Image.open(path).convert("RGB"))])
    assert prediction.sure and prediction.labels[0].label == "lion"


def test_temperature_flattens_the_probabilities(classifier: Classifier, pagoda: Pixels) -> None:
    cold, hot = (Classifier(classifier.model, t, 0.5).probabilities([pagoda]) for t in (0.5, 2.0))
    assert cold.max() > classifier.probabilities([pagoda]).max() > hot.max()
    assert cold.sum() == pytest.approx(1, abs=1e-4)


def test_features_do_not_depend_on_the_temperature(
    classifier: Classifier, pagoda: Pixels, dahlia: Pixels
) -> None:
    features = classifier.features([pagoda, dahlia])
    assert features.shape == (2, 1280)
    np.testing.assert_allclose(classifier.infer([pagoda])[1], features[:1], atol=1e-4)
    assert classifier.classify([]) == []


def save_head(folder: Path, classifier: Classifier, images: list[Pixels]) -> Head:
    features = classifier.features(images)
    weight = features - features.mean(axis=0)  # of each class, what sets its image apart
    head = Head(("building", "flower"), "efficientnet-lite0", 2.0, weight, np.zeros(2, np.float32))
    folder.mkdir()
    head.save(folder)
    return head


def test_trained_head_is_a_classifier(
    classifier: Classifier, pagoda: Pixels, dahlia: Pixels, tmp_path: Path
) -> None:
    save_head(tmp_path / "own", classifier, [pagoda, dahlia])
    own = load_classifier(Config(classifier=f"path:{tmp_path / 'own'}"), Settings())
    assert own.labels == ("building", "flower") and own.temperature == 2.0
    best = [prediction.labels[0].label for prediction in own.classify([pagoda, dahlia])]
    assert best == ["building", "flower"]
    np.testing.assert_array_equal(own.features([pagoda]), classifier.features([pagoda]))


def test_name_of_a_trained_head_depends_on_its_weights(
    classifier: Classifier, pagoda: Pixels, dahlia: Pixels, tmp_path: Path
) -> None:
    save_head(tmp_path / "first", classifier, [pagoda, dahlia])
    save_head(tmp_path / "second", classifier, [dahlia, pagoda])
    names = {
        load_classifier(Config(classifier=f"path:{tmp_path / name}"), Settings()).name
        for name in ("first", "second")
    }
    assert len(names) == 2 and load_image_model().name not in names


def test_wrong_classifiers_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Unknown image model 'resnet'"):
        load_classifier(Config(classifier="resnet"), Settings())
    with pytest.raises(NotFound, match=r"head\.json is missing.* vision-app train"):
        load_classifier(Config(classifier=f"path:{tmp_path}"), Settings())
