"""Occlusion maps: where the evidence is, and that it depends on the class."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vision_app.classify.classifier import Classifier
from vision_app.classify.explain import explain, overlay
from vision_app.files.pixels import Pixels
from seedbed.errors import BadInput


def test_map_is_where_the_object_of_the_class_is(
    classifier: Classifier, pagoda: Pixels, dahlia: Pixels
) -> None:
    # A pagoda in the left half, a flower in the right one.
    halves = (pagoda[20:420, :250], dahlia[70:400, 190:440])
    both = np.concatenate([Image.fromarray(half).resize((160, 256)) for half in halves], axis=1)
    palace, daisy = (explain(classifier, both, label)[2] for label in ("palace", "daisy"))
    assert palace.shape == (256, 320) and palace.dtype == np.float32
    assert palace.min() >= 0 and palace.max() == 1
    assert palace[:, :160].mean() > 4 * palace[:, 160:].mean()
    assert daisy[:, 160:].mean() > 4 * daisy[:, :160].mean()


def test_label_is_the_most_likely_one_or_known(classifier: Classifier, pagoda: Pixels) -> None:
    label, confidence, _ = explain(classifier, pagoda)
    assert label == "palace"
    assert confidence == pytest.approx(classifier.infer([pagoda])[0].max(), abs=0.05)
    with pytest.raises(BadInput, match=r"Unknown label 'daysy'. Similar: .*daisy"):
        explain(classifier, pagoda, "daysy")


def test_images_of_any_size_can_be_explained(classifier: Classifier) -> None:
    for height, width in ((1, 1), (3, 20_000), (2000, 30)):
        image = np.full((height, width, 3), 90, np.uint8)
        _, _, relevance = explain(classifier, image)
        assert relevance.ndim == 2 and max(relevance.shape) <= 1024
        assert max(overlay(image, relevance).shape) <= 1600


def test_overlay_colours_relevant_parts_only() -> None:
    pixels = np.full((100, 200, 3), 100, np.uint8)
    relevance = np.zeros((50, 100), np.float32)
    relevance[:, 50:] = 1
    picture = overlay(pixels, relevance)
    assert picture.shape == pixels.shape and picture.dtype == np.uint8
    assert (picture[:, :90] == 100).all()
    red, green, blue = picture[50, 150]
    assert red > 200 and green == blue < 50
