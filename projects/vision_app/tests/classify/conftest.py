"""The default classifier, and photographs that scikit-learn ships."""

from __future__ import annotations

import pytest
from sklearn.datasets import load_sample_image

from vision_app.classify.classifier import Classifier, load_classifier
from vision_app.config import Config
from vision_app.files.pixels import Pixels
from seedbed.settings import Settings


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier(Config(), Settings())


@pytest.fixture(scope="session")
def pagoda() -> Pixels:
    """Labelled "palace", with 0.35."""
    return load_sample_image("china.jpg")


@pytest.fixture(scope="session")
def dahlia() -> Pixels:
    """Not a class of ImageNet; "daisy" comes first, with 0.42."""
    return load_sample_image("flower.jpg")
