"""Adapt all weights of EfficientNet-Lite0 to your classes, with torch (extra `train`).

    result = fine_tune(Path("birds"), Path("classifiers/birds"), Config(), Settings())
    vision-app train birds --full                      # the same from a shell

Worth the time when there are some dozens of images per class, or when they look unlike photographs;
otherwise `train` is as good, in seconds. The result is an OpenVINO graph, which runs without torch.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vision_app.classify.calibration import fit_temperature
from vision_app.classify.dataset import LabelledFolder
from vision_app.classify.head import OWN_GRAPH, Head
from vision_app.classify.train import TrainingResult, fit, folds, write
from vision_app.config import Config
from seedbed.cli import Progress
from seedbed.errors import MissingExtra
from seedbed.models import efficientnet, torch_file
from seedbed.models.catalog import MODELS
from seedbed.models.image_model import centre_square
from seedbed.models.weights import source_file
from seedbed.settings import Settings


def fine_tune(
    folder: Path,
    out: Path,
    config: Config,
    settings: Settings,  # noqa: ARG001  (called like `train`)
    progress: Progress | None = None,
    *,
    epochs: int = 10,
) -> TrainingResult:
    """Fine-tune on the images in `folder`, one sub-folder per class, and write the result to `out`.

    A fifth of the images of each class is held out to measure and calibrate, and not trained on.
    All images are in memory, 0.2 MB each. Raises MissingExtra without torch.
    """
    if find_spec("torch") is None:
        raise MissingExtra("torch", "vision-app[train]")
    from vision_app.classify.torch_network import MARGIN, Network, learn, predict

    start, side = time.monotonic(), efficientnet.SIDE + MARGIN
    # 1. Decode the images, and hold out a part of each class.
    images = LabelledFolder(folder, config)
    squares = np.stack(
        [centre_square(pixels, side, 1.0) for batch in images.batches() for pixels in batch]
    )
    targets = np.array(images.targets)
    inside, outside = next(folds(targets))
    # 2. Start from a linear head on ImageNet's features, since a random one would destroy them:
    # Kumar et al., 2022, https://arxiv.org/abs/2202.10054.
    weights = torch_file.load(source_file(MODELS["efficientnet-lite0"]))
    features = predict(Network(weights), squares[inside])[1]
    weights["_fc.weight"], weights["_fc.bias"] = fit(features[:, None], targets[inside])
    # 3. Train all weights.
    network = Network(weights)
    learn(network, squares[inside], targets[inside], epochs, progress)
    # 4. Calibrate on the held-out images.
    logits, _ = predict(network, squares[outside])
    temperature = fit_temperature(logits, targets[outside])
    # 5. Write the network as an OpenVINO graph.
    tuned = network.weights()
    head = Head(images.labels, OWN_GRAPH, temperature, tuned["_fc.weight"], tuned["_fc.bias"])
    graph = efficientnet.build(tuned)
    return write(out, head, images, outside.tolist(), logits, start, graph)
