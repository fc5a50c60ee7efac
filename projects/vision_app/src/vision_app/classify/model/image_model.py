"""Load an image classifier by its spec.

    model = load_image_model()                     # EfficientNet-Lite0, ImageNet's 1,000 classes
    logits, features = model.infer([pixels])       # float32 (1, 1000) and (1, 1280)
    model.labels[logits[0].argmax()]               # "cheetah"

The default runs on OpenVINO without torch; models of the hub use transformers. Decoding files and
making probabilities of the logits is left to callers.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vision_app.classify.model import efficientnet
from vision_app.files.pixels import Pixels
from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.weights.catalog import MODELS, find
from seedbed.models.weights.ensure import ensure
from seedbed.observe.telemetry import model_call
from seedbed.safety.secrets import reason
from seedbed.settings import Settings, load

Floats = npt.NDArray[np.float32]

_CROP = 0.875  # part of the shorter side that the model was evaluated with
_BATCH = 16  # images that transformers computes at once


class ImageModel(Protocol):
    """What `load_image_model` returns; safe to use from many threads."""

    name: str
    labels: tuple[str, ...]

    def infer(self, images: Sequence[Pixels]) -> tuple[Floats, Floats]:
        """Logits (n, classes) and features (n, d) of n images of any sizes; n may be 0."""
        ...


def load_image_model(
    spec: str = "efficientnet-lite0", *, settings: Settings | None = None
) -> ImageModel:
    """Load an image classifier.

    A spec is one of:

        efficientnet-lite0      on OpenVINO, one instance per process
        hf:ORG/REPO@REVISION    AutoModelForImageClassification of transformers, with torch
        path:DIR                the same, from a folder

    Raises ConfigError, MissingExtra or WeightsError.
    """
    settings = settings or load(Settings)
    model = find(spec, "image")
    if model is None and not spec.startswith("path:"):
        names = ", ".join(name for name, entry in MODELS.items() if entry.kind == "image")
        raise ConfigError(
            f"Unknown image model {spec!r}.",
            hint=f"Use {names}, hf:ORG/REPO@REVISION or path:DIR.",
        )
    if model is not None and model.kind != "image":
        raise ConfigError(
            f"{spec!r} is a model for {model.kind}, not for images.",
            hint="Use efficientnet-lite0.",
        )
    if model is None or model.repo:
        # Before a download, to fail fast; image processors use torchvision.
        MissingExtra.check("torch", "torchvision", "transformers", extra="torch")
    folder = ensure(model or spec, convert=efficientnet.convert, settings=settings)
    if model is not None and model.files:
        return _efficientnet(folder, model.name)
    return _Transformers(folder, f"hf:{model.repo}@{folder.name}" if model else spec)


def imagenet_labels() -> tuple[str, ...]:
    """ImageNet's 1,000 class names in the order of the logits, e.g. "tench" for class 0.

    The names are WordNet lemmas, made distinct; the list is torchvision's
    `torchvision.models._meta._IMAGENET_CATEGORIES`.
    """
    return tuple(Path(__file__).with_name("imagenet_labels.txt").read_text("utf-8").splitlines())


def centre_square(pixels: Pixels, side: int, crop: float = _CROP) -> Pixels:
    """The middle of an image as a square of `side` pixels, with bicubic interpolation.

    `crop` is the part of the shorter side that the square covers.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    length = min(height, width) * crop
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
    return GraphModel(folder / "model.xml", name, imagenet_labels())


class GraphModel:
    """An OpenVINO graph as an `ImageModel`: uint8 (n, side, side, 3) → logits, features.

        GraphModel(Path("model.xml"), "my-model", ("cat", "dog"))

    One image is computed on all cores. Several are computed one per core, which needs 20 % less
    time than a batch, as the activations of one image fit into a core's cache.
    """

    def __init__(self, graph: Path, name: str, labels: tuple[str, ...]) -> None:
        self.name, self.labels = name, labels
        self._single, self._several = _requests(graph, "LATENCY"), _requests(graph, "THROUGHPUT")
        request = self._single.queue[0]
        self._side = request.get_input_tensor(0).shape[1]
        self._widths = [request.get_output_tensor(output).shape[1] for output in (0, 1)]

    def infer(self, images: Sequence[Pixels]) -> tuple[Floats, Floats]:
        """Logits (n, classes) and features (n, d) of the middle squares of n images."""
        logits, features = (np.empty((len(images), width), np.float32) for width in self._widths)
        requests = self._several if len(images) > 1 else self._single

        def infer_image(index: int) -> None:
            square = centre_square(images[index], self._side)
            request = requests.get()  # waits while all are in use
            try:
                request.infer([square[None]], share_inputs=True)
                logits[index] = request.get_output_tensor(0).data[0]
                features[index] = request.get_output_tensor(1).data[0]
            finally:
                requests.put(request)

        with model_call(self.name, "image"), ThreadPoolExecutor(requests.maxsize) as pool:
            if len(images) == 1:
                infer_image(0)  # a thread would only add time
            else:
                list(pool.map(infer_image, range(len(images))))
        return logits, features


def _requests(graph: Path, hint: str) -> queue.LifoQueue[Any]:
    """As many inference requests as OpenVINO runs at once under a performance hint."""
    import openvino as ov

    options = {"PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(str(graph), "CPU", options)
    count = int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
    requests: queue.LifoQueue[Any] = queue.LifoQueue(count)
    blank = np.zeros([1, *list(compiled.input(0).partial_shape.get_max_shape())[1:]], np.uint8)
    for _ in range(count):
        request = compiled.create_infer_request()
        # From one thread: openvino 2026.4 deadlocks (in `Type.to_dtype`) if the first two
        # inferences of a process start at the same time.
        request.infer([blank])
        requests.put(request)
    return requests


class _Transformers:
    """A classifier of transformers; the features are the input of its last matrix."""

    def __init__(self, folder: Path, name: str) -> None:
        import torch
        from transformers import AutoImageProcessor, AutoModelForImageClassification

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
        self._width = heads[-1].in_features
        self._features: Any = None
        heads[-1].register_forward_pre_hook(self._keep_features)
        self._lock = threading.Lock()  # `_features` belongs to one call

    def _keep_features(self, _: Any, inputs: tuple[Any, ...]) -> None:
        self._features = inputs[0]

    def infer(self, images: Sequence[Pixels]) -> tuple[Floats, Floats]:
        logits, features = [np.empty((0, len(self.labels)))], [np.empty((0, self._width))]
        with model_call(self.name, "image"), self._lock:
            for start in range(0, len(images), _BATCH):
                batch = self._infer(images[start : start + _BATCH])
                logits.append(batch[0])
                features.append(batch[1])
        return (
            np.concatenate(logits).astype(np.float32),
            np.concatenate(features).astype(np.float32),
        )

    def _infer(self, images: Sequence[Pixels]) -> tuple[Any, Any]:
        import torch

        # Their own format would be inferred from the shape, wrongly for images 3 pixels high.
        # Copies, as torch warns of arrays that are not writable.
        copies = [np.array(image) for image in images]
        inputs = self._processor(copies, return_tensors="pt", input_data_format="channels_last")
        with torch.inference_mode():
            logits = self._model(**inputs).logits
        features = self._features.reshape(len(images), -1)
        return logits.float().numpy(), features.float().numpy()
