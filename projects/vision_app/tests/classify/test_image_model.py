"""Image models: EfficientNet-Lite0 against torch, real photographs, odd sizes, hub models."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from vision_app.classify.image_model import (
    ImageModel,
    centre_square,
    load_image_model,
)
from seedbed.errors import ConfigError


@pytest.fixture(scope="module")
def model() -> ImageModel:
    return load_image_model()


def test_images_together_alone_and_in_threads_get_the_same_logits(model: ImageModel) -> None:
    images = [load_sample_image("china.jpg"), load_sample_image("flower.jpg")] * 9  # two batches
    together, features = model.infer(images)
    assert together.shape == (18, 1000) and features.shape == (18, 1280)
    with ThreadPoolExecutor(6) as pool:
        alone = list(pool.map(lambda image: model.infer([image])[0][0], images[:6]))
    np.testing.assert_allclose(together[:6], np.stack(alone), atol=1e-4)
    assert model.labels[together[1].argmax()] == "daisy"


def test_infer_accepts_no_images_and_any_size(model: ImageModel) -> None:
    assert [array.shape for array in model.infer([])] == [(0, 1000), (0, 1280)]
    shapes = [(1, 1), (3, 20_000), (20_000, 3), (224, 224), (37, 91)]
    logits, _ = model.infer([np.full((*shape, 3), 200, np.uint8) for shape in shapes])
    np.testing.assert_allclose(logits, np.broadcast_to(logits[0], logits.shape), atol=1e-3)


def test_centre_square_shows_the_middle_of_the_shorter_side() -> None:
    image = np.zeros((80, 200, 3), np.uint8)
    image[5:75, 65:135] = 255  # 0.875 of 80, in the middle
    assert centre_square(image, 70).min() == 255
    assert centre_square(image[:, 66:], 70).min() == 0


def test_logits_equal_those_of_torch(model: ImageModel) -> None:
    # By torch, with batch norms and padding of their own, as timm computes the network.
    expected = {"tench": 1.495, "castle": 5.7727, "palace": 7.5462, "daisy": 0.2216}
    [logits], _ = model.infer([load_sample_image("china.jpg")])
    actual = {label: float(logits[model.labels.index(label)]) for label in expected}
    assert actual == pytest.approx(expected, abs=1e-3)


def test_unknown_and_unsuitable_specs_are_rejected() -> None:
    with pytest.raises(ConfigError, match=r"'resnet'.*efficientnet-lite0.*hf:"):
        load_image_model("resnet")
    with pytest.raises(ConfigError, match="Unknown image model 'minilm'"):
        load_image_model("minilm")


@pytest.mark.slow
def test_transformers_folder_is_an_image_model(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="Cannot load the image model"):
        load_image_model(f"path:{tmp_path}")
    layers = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    labels = {0: "cat", 1: "dog", 2: "fox"}
    config = transformers.ViTConfig(
        **layers, intermediate_size=32, image_size=32, patch_size=8, id2label=labels
    )
    network = transformers.ViTForImageClassification(config).eval()
    network.save_pretrained(tmp_path)
    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    processor.save_pretrained(tmp_path)

    model = load_image_model(f"path:{tmp_path}")
    assert model.labels == ("cat", "dog", "fox")
    images = [load_sample_image("china.jpg").copy(), np.zeros((3, 50, 3), np.uint8)]
    logits, features = model.infer(images)
    assert logits.dtype == features.dtype == np.float32 and features.shape == (2, 24)
    inputs = processor(images, return_tensors="pt", input_data_format="channels_last")
    with torch.inference_mode():
        expected = network(**inputs).logits.numpy()
        head = network.classifier
        from_features = head(torch.tensor(features)).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    np.testing.assert_allclose(logits, from_features, atol=1e-4)
    assert [array.shape for array in model.infer([])] == [(0, 3), (0, 24)]
