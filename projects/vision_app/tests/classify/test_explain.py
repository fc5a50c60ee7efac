"""Occlusion maps: where the evidence is, that it depends on the class, and that it is faithful."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vision_app.classify.classifier import Classifier
from vision_app.classify.explain import Explanation, explain, overlay
from vision_app.files.pixels import Pixels
from seedbed.errors import BadInput


@pytest.fixture(scope="module")
def two_objects(pagoda: Pixels, dahlia: Pixels) -> Pixels:
    """A pagoda in the left half, a flower in the right one."""
    halves = (pagoda[20:420, :250], dahlia[70:400, 190:440])
    resized = [np.asarray(Image.fromarray(half).resize((160, 256))) for half in halves]
    return np.concatenate(resized, axis=1)


@pytest.fixture(scope="module")
def explanations(classifier: Classifier, two_objects: Pixels) -> list[Explanation]:
    labels = ("palace", "daisy", "sea anemone")
    return [explain(classifier, two_objects, label) for label in labels]


def agreement(first: Explanation, second: Explanation) -> float:
    """Correlation of two maps of one image, -1 to 1.

    The sanity check of Adebayo et al. 2018, https://arxiv.org/abs/1810.03292: a map that is about
    the class, and not only about the edges of the image, changes when the class does.
    """
    return float(np.corrcoef(first.map.ravel(), second.map.ravel())[0, 1])


def test_map_is_where_the_object_is(explanations: list[Explanation]) -> None:
    palace, daisy, _ = (explanation.map for explanation in explanations)
    assert palace.shape == (256, 320) and palace.dtype == np.float32
    assert palace.min() >= 0 and palace.max() == 1
    assert palace[:, :160].mean() > 4 * palace[:, 160:].mean()
    assert daisy[:, 160:].mean() > 4 * daisy[:, :160].mean()


def test_map_changes_when_the_class_does(explanations: list[Explanation]) -> None:
    palace, daisy, anemone = explanations
    assert agreement(palace, daisy) < 0
    assert agreement(daisy, anemone) > 0.5  # two labels of the same flower
    assert agreement(daisy, daisy) == pytest.approx(1)


def test_default_is_the_most_likely_label_and_progress_is_reported(
    classifier: Classifier, pagoda: Pixels
) -> None:
    calls: list[tuple[int, int]] = []
    first = explain(classifier, pagoda, progress=lambda done, total: calls.append((done, total)))
    assert first.label == "palace"
    assert first.confidence == pytest.approx(classifier.probabilities([pagoda]).max(), abs=0.05)
    assert calls == sorted(calls) and calls[-1][0] == calls[-1][1] < 100


def test_unknown_label_suggests_similar_ones(classifier: Classifier, pagoda: Pixels) -> None:
    with pytest.raises(BadInput, match=r"Unknown label 'daysy'. Similar: .*daisy"):
        explain(classifier, pagoda, "daysy")


def test_images_of_any_size_can_be_explained(classifier: Classifier) -> None:
    for height, width in ((1, 1), (3, 20_000), (2000, 30)):
        image = np.full((height, width, 3), 90, np.uint8)
        explanation = explain(classifier, image)
        assert explanation.map.ndim == 2 and max(explanation.map.shape) <= 1024
        assert max(overlay(image, explanation.map).shape) <= 1600


def test_overlay_colours_relevant_parts_only() -> None:
    pixels = np.full((100, 200, 3), 100, np.uint8)
    relevance = np.zeros((50, 100), np.float32)
    relevance[:, 50:] = 1
    picture = overlay(pixels, relevance)
    assert picture.shape == pixels.shape and picture.dtype == np.uint8
    assert (picture[:, :90] == 100).all()
    red, green, blue = picture[50, 150]
    assert red > 200 and green == blue < 50
