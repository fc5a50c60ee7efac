"""Image models: EfficientNet-Lite0 against torch, real photographs, odd sizes, hub models."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from vision_app.classify.model import efficientnet, torch_file
from vision_app.classify.model.image_model import (
    ImageModel,
    centre_square,
    imagenet_labels,
    load_image_model,
)
from seedbed.errors import ConfigError, WeightsError
from seedbed.models.weights.catalog import MODELS
from seedbed.models.weights.ensure import ensure, source_file
from seedbed.settings import Settings


@pytest.fixture(scope="module")
def model() -> ImageModel:
    return load_image_model()


def test_labels_are_imagenets_in_standard_order() -> None:
    labels = imagenet_labels()
    assert len(set(labels)) == 1000
    places = {
        0: "tench",
        281: "tabby",
        291: "lion",
        293: "cheetah",
        985: "daisy",
        999: "toilet tissue",
    }
    assert {index: labels[index] for index in places} == places


def test_photographs_get_plausible_labels(model: ImageModel) -> None:
    photographs = [load_sample_image("china.jpg"), load_sample_image("flower.jpg")]
    logits, features = model.infer(photographs)
    assert logits.shape == (2, 1000) and features.shape == (2, 1280)
    best = [[model.labels[index] for index in np.argsort(-row)[:5]] for row in logits]
    assert {"palace", "bell cote", "monastery"} <= set(best[0])
    assert best[1][0] == "daisy"


def test_several_images_get_the_logits_of_each_alone(model: ImageModel) -> None:
    photograph = load_sample_image("china.jpg")
    images = [photograph, photograph[::-1], photograph[:, ::-1]]
    together, _ = model.infer(images)
    alone = np.concatenate([model.infer([image])[0] for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_infer_accepts_no_images_and_any_size(model: ImageModel) -> None:
    assert [array.shape for array in model.infer([])] == [(0, 1000), (0, 1280)]
    shapes = [(1, 1), (3, 20_000), (20_000, 3), (224, 224), (37, 91)]
    logits, _ = model.infer([np.full((*shape, 3), 200, np.uint8) for shape in shapes])
    np.testing.assert_allclose(logits, np.broadcast_to(logits[0], logits.shape), atol=1e-3)


def test_infer_is_safe_in_threads(model: ImageModel) -> None:
    images = [load_sample_image("china.jpg"), load_sample_image("flower.jpg")] * 3
    expected, _ = model.infer(images)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda image: model.infer([image])[0][0], images))
    np.testing.assert_allclose(np.stack(results), expected, atol=1e-4)


def test_centre_square_shows_the_middle_of_the_shorter_side() -> None:
    image = np.zeros((80, 200, 3), np.uint8)
    image[5:75, 65:135] = 255  # 0.875 of 80, in the middle
    assert centre_square(image, 70).min() == 255
    assert centre_square(image, 80, crop=1.0).min() == 0


@pytest.mark.slow
def test_first_inferences_in_two_threads_end() -> None:
    """Openvino deadlocks if they are the first of the process, so loading runs one."""
    code = """
import numpy as np
from vision_app.classify.model.image_model import load_image_model
print(load_image_model().infer([np.zeros((9, 9, 3), np.uint8)] * 2)[0].shape)
"""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout.strip() == "(2, 1000)", done.stderr


@pytest.mark.slow
def test_logits_and_features_equal_torch(model: ImageModel) -> None:
    pytest.importorskip("torch")
    images = [load_sample_image("china.jpg"), load_sample_image("flower.jpg")]
    squares = np.stack([centre_square(image, 224) for image in images])
    expected_logits, expected_features = torch_efficientnet(squares)
    logits, features = model.infer(images)
    np.testing.assert_allclose(logits, expected_logits, atol=1e-4)
    np.testing.assert_allclose(features, expected_features, atol=1e-4)


def torch_efficientnet(squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """EfficientNet-Lite0 as timm computes it, with batch norms and padding of their own."""
    import torch
    from torch.nn import functional as F

    arrays = torch_file.load(source_file(MODELS["efficientnet-lite0"]))
    w = {name: torch.tensor(array) for name, array in arrays.items()}

    def convolve(x, name: str, norm: str, stride: int = 1):
        kernel = w[f"{name}.weight"]
        side = kernel.shape[2]
        total = max((-(-x.shape[2] // stride) - 1) * stride + side - x.shape[2], 0)
        x = F.pad(x, (total // 2, total - total // 2) * 2)
        groups = x.shape[1] // kernel.shape[1]
        x = F.conv2d(x, kernel, stride=stride, groups=groups)
        parts = (w[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *parts, eps=1e-3)

    x = torch.tensor(squares).permute(0, 3, 1, 2).float() / 255
    x = F.relu6(convolve((x - 0.5) / 0.5, "_conv_stem", "_bn0", 2))
    for index, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)):
        name, start = f"_blocks.{index}", x
        if index:
            x = F.relu6(convolve(x, f"{name}._expand_conv", f"{name}._bn0"))
        x = F.relu6(convolve(x, f"{name}._depthwise_conv", f"{name}._bn1", stride))
        x = convolve(x, f"{name}._project_conv", f"{name}._bn2")
        x = x + start if x.shape == start.shape else x
    features = F.relu6(convolve(x, "_conv_head", "_bn1")).mean((2, 3))
    logits = F.linear(features, w["_fc.weight"], w["_fc.bias"])
    return logits.numpy(), features.numpy()


def test_unknown_and_unsuitable_specs_are_rejected() -> None:
    with pytest.raises(ConfigError, match=r"'resnet'.*efficientnet-lite0.*hf:"):
        load_image_model("resnet")
    with pytest.raises(ConfigError, match="model for embedding"):
        load_image_model("minilm")


def test_missing_folder_is_reported() -> None:
    pytest.importorskip("transformers")
    with pytest.raises(WeightsError, match="does not exist"):
        load_image_model("path:nowhere")


def test_conversion_writes_one_graph(tmp_path: Path) -> None:
    settings = Settings(cache_dir=tmp_path)
    folder = ensure("efficientnet-lite0", convert=efficientnet.convert, settings=settings)
    assert {path.name for path in folder.iterdir()} == {"model.xml", "model.bin"}


@pytest.mark.slow
def test_transformers_folder_is_an_image_model(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        num_labels=3,
        id2label={0: "cat", 1: "dog", 2: "fox"},
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


@pytest.mark.slow
def test_folder_without_a_model_is_reported(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    with pytest.raises(ConfigError, match="Cannot load the image model") as excinfo:
        load_image_model(f"path:{tmp_path}")
    assert "\n" not in str(excinfo.value)
