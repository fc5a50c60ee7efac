"""Load an image classifier by its spec.

    model = load_image_model()                     # EfficientNet-Lite0, ImageNet's 1,000 classes
    logits, features = model.infer([pixels])       # float32 (1, 1000) and (1, 1280)
    model.labels[logits[0].argmax()]               # "cheetah"

The default runs on OpenVINO without torch; models of the hub use transformers. Decoding files and
making probabilities of the logits is left to callers.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vision_app.classify import efficientnet
from vision_app.classify.calibration import Floats
from vision_app.files.pixels import Pixels
from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.weights.catalog import MODELS, find
from seedbed.models.weights.ensure import ensure
from seedbed.observe.telemetry import model_call
from seedbed.safety.secrets import reason
from seedbed.settings import Settings, load

_CROP = 0.875  # part of the shorter side that the model was evaluated with
_BATCH = 16  # images computed at once


class ImageModel(ABC):
    """What `load_image_model` returns; safe to use from many threads."""

    name: str
    labels: tuple[str, ...]
    width: int
    """Number of features."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the state of an inference belongs to one call

    def infer(self, images: Sequence[Pixels]) -> tuple[Floats, Floats]:
        """Logits (n, classes) and features (n, d) of n images of any sizes; n may be 0."""
        results = [(np.empty((0, len(self.labels))), np.empty((0, self.width)))]
        with model_call(self.name, "image"), self._lock:
            for start in range(0, len(images), _BATCH):
                results.append(self.infer_batch(images[start : start + _BATCH]))
        logits, features = zip(*results, strict=True)
        return np.concatenate(logits, dtype=np.float32), np.concatenate(features, dtype=np.float32)

    @abstractmethod
    def infer_batch(self, images: Sequence[Pixels]) -> tuple[Any, Any]:
        """As `infer`, for at least one image."""


def load_image_model(
    spec: str = "efficientnet-lite0", *, settings: Settings | None = None
) -> ImageModel:
    """The image classifier of a spec: one instance per process of efficientnet-lite0, on OpenVINO.

    Or hf:ORG/REPO@REVISION or path:DIR, in the format of transformers, with torch. Raises
    ConfigError, MissingExtra or WeightsError.
    """
    settings = settings or load(Settings)
    model = find(spec, "image")
    if model.kind != "image" if model else not spec.startswith("path:"):
        names = ", ".join(name for name, entry in MODELS.items() if entry.kind == "image")
        hint = f"Use {names}, hf:ORG/REPO@REVISION or path:DIR."
        raise ConfigError(f"Unknown image model {spec!r}.", hint=hint)
    if model is not None and model.files:
        folder = ensure(model, convert=efficientnet.convert, settings=settings)
        return _efficientnet(folder, model.name)
    # Before a download, to fail fast; image processors use torchvision.
    MissingExtra.check("torch", "torchvision", "transformers", extra="vision-app[hub]")
    folder = ensure(model or spec, settings=settings)
    return _Transformers(folder, f"hf:{model.repo}@{folder.name}" if model else spec)


def centre_square(pixels: Pixels, side: int) -> Pixels:
    """The middle of an image as a square of `side` pixels, with bicubic interpolation."""
    from PIL import Image

    height, width = pixels.shape[:2]
    length = min(height, width) * _CROP
    left, top = (width - length) / 2, (height - length) / 2
    # Pillow copies what it is passed, so pass it only the square, and a margin as interpolation
    # mixes pixels from both sides of the edge.
    margin = int(2 * length / side) + 3
    x, y = max(0, int(left) - margin), max(0, int(top) - margin)
    part = pixels[y : int(top + length) + margin, x : int(left + length) + margin]
    box = (left - x, top - y, left - x + length, top - y + length)
    # `reducing_gap` first shrinks large images by a whole number: several times faster, and hardly
    # different from one step (Pillow's documentation of `resize`).
    image = Image.fromarray(part).resize((side, side), Image.Resampling.BICUBIC, box, 3.0)
    return np.asarray(image)


@lru_cache
def _efficientnet(folder: Path, name: str) -> GraphModel:
    # The names are WordNet lemmas, made distinct, in the order of the logits; the list is
    # torchvision's `torchvision.models._meta._IMAGENET_CATEGORIES`.
    labels = Path(__file__).with_name("imagenet_labels.txt").read_text("utf-8").splitlines()
    return GraphModel(folder / "model.xml", name, tuple(labels))


class GraphModel(ImageModel):
    """The graph of `efficientnet`: the middle squares of images → logits, features."""

    def __init__(self, graph: Path, name: str, labels: tuple[str, ...]) -> None:
        import openvino as ov

        super().__init__()
        self.name, self.labels = name, labels
        options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        compiled = ov.Core().compile_model(str(graph), "CPU", options)
        self.width = compiled.outputs[1].partial_shape[1].get_length()
        self._request = compiled.create_infer_request()

    def infer_batch(self, images: Sequence[Pixels]) -> tuple[Any, Any]:
        squares = np.stack([centre_square(image, efficientnet.SIDE) for image in images])
        self._request.infer([squares])
        logits, features = (self._request.get_output_tensor(n).data.copy() for n in (0, 1))
        return logits, features


class _Transformers(ImageModel):
    """A classifier of transformers; the features are the input of its last matrix."""

    def __init__(self, folder: Path, name: str) -> None:
        import torch
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        super().__init__()
        try:
            self._processor = AutoImageProcessor.from_pretrained(folder)
            self._model = AutoModelForImageClassification.from_pretrained(folder).eval()
        except Exception as error:  # transformers raises OSError, ValueError, KeyError and more
            raise ConfigError(f"Cannot load the image model {name!r}: {reason(error)}") from error
        self.name = name
        count = self._model.config.num_labels
        self.labels = tuple(self._model.config.id2label[index] for index in range(count))
        heads = [
            module
            for module in self._model.modules()
            if isinstance(module, torch.nn.Linear) and module.out_features == count
        ]
        if not heads:
            raise ConfigError(f"{name!r} has no linear layer for its {count} classes.")
        self.width = heads[-1].in_features
        self._features: Any = None
        heads[-1].register_forward_pre_hook(self._keep_features)

    def _keep_features(self, _: Any, inputs: tuple[Any, ...]) -> None:
        self._features = inputs[0]

    def infer_batch(self, images: Sequence[Pixels]) -> tuple[Any, Any]:
        import torch

        # Their own format would be inferred from the shape, wrongly for images 3 pixels high.
        # Copies, as torch warns of arrays that are not writable.
        copies = [np.array(image) for image in images]
        inputs = self._processor(copies, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            logits = self._model(**inputs).logits
        features = self._features.reshape(len(images), -1)
        return logits.float().numpy(), features.float().numpy()
