"""Adapt all weights of EfficientNet-Lite0 to your classes, with torch (extra `train`).

    result = fine_tune(Path("birds"), Path("classifiers/birds"), Config(), Settings())
    vision-app train birds --full                      # the same from a shell

Worth the time when there are some dozens of images per class, or when they look unlike photographs;
otherwise `train` is as good, in seconds. The result is an OpenVINO graph, which runs without torch.
The network is in `torch_network`.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vision_app.classify import head
from vision_app.classify.calibration import fit_temperature
from vision_app.classify.dataset import LabelledFolder, Pixels
from vision_app.classify.train import Progress, TrainingResult, evaluate, fit, save, silent
from vision_app.config import Config
from seedbed.errors import ConfigError, MissingExtra
from seedbed.models import efficientnet, torch_file
from seedbed.models.catalog import MODELS
from seedbed.models.image_model import centre_square
from seedbed.models.weights import source_file
from seedbed.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from vision_app.classify.torch_network import Network

Floats = npt.NDArray[np.float32]
_BASE = "efficientnet-lite0"
_SIDE = efficientnet.SIDE
_MARGIN = 32  # pixels that random crops have around _SIDE: 224 of 256 is the crop of inference
_BATCH = 16
_LEARNING_RATE = 3e-4
_HELD_OUT = 0.2


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

    A fifth of the images of each class, at least one, is held out to measure and calibrate, and is
    not trained on. All images are in memory while it trains, 0.2 MB each. Raises the errors of
    `train`, and MissingExtra without torch.
    """
    if not config.classifier.startswith(("path:", _BASE)):
        raise ConfigError(
            f"{config.classifier} cannot be fine-tuned; only {_BASE} can.",
            hint="Unset VISION_CLASSIFIER, or train without --full.",
        )
    try:
        import torch
    except ImportError:
        raise MissingExtra("torch", "vision-app[train]") from None
    from vision_app.classify.torch_network import Network

    start, report = time.monotonic(), progress or silent
    torch.manual_seed(0)
    # 1. Decode the images, and hold out a part of each class.
    images = LabelledFolder(folder, config)
    names, targets, squares = load_squares(images)
    inside, outside = split(targets)
    # 2. Start from a linear head on ImageNet's features, since a random one would destroy them:
    # Kumar et al., 2022, https://arxiv.org/abs/2202.10054.
    weights = torch_file.load(source_file(MODELS[_BASE]))
    features = predict(Network(weights), squares[inside])[1]
    weights["_fc.weight"], weights["_fc.bias"] = fit(features[:, None], targets[inside], 1.0)
    network = Network(weights)
    # 3. Train all weights.
    learn(network, squares[inside], targets[inside], epochs, report)
    # 4. Calibrate and measure on the held-out images.
    logits, _ = predict(network, squares[outside])
    temperature = fit_temperature(logits, targets[outside])
    about = {
        "method": "fine-tuning",
        "backbone": _BASE,
        "epochs": epochs,
        "learning_rate": _LEARNING_RATE,
        "temperature": temperature,
        "seconds": round(time.monotonic() - start, 1),
    }
    held_out = [names[index] for index in outside]
    result = evaluate(out, images, held_out, targets[outside], logits / temperature, about)
    # 5. Write the network as an OpenVINO graph.
    weights = network.weights()
    trained = head.Head(
        images.labels, head.OWN_GRAPH, temperature, weights["_fc.weight"], weights["_fc.bias"]
    )
    return save(result, trained, efficientnet.build(weights))


def load_squares(
    images: LabelledFolder,
) -> tuple[list[str], npt.NDArray[np.int64], Pixels]:
    """Names, indices of labels, and middle squares (n, 256, 256, 3) of the images."""
    names: list[str] = []
    targets: list[int] = []
    squares: list[Pixels] = []
    for file, target, pixels in images:
        names.append(images.name(file))
        targets.append(target)
        squares.append(centre_square(pixels, _SIDE + _MARGIN, crop=1.0))
    images.require(targets)
    return names, np.array(targets), np.stack(squares)


def split(
    targets: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices to train on and indices to hold out, a fifth of each class, rounded up."""
    rng = np.random.default_rng(0)
    outside: list[int] = []
    for target in np.unique(targets):
        members = rng.permutation(np.flatnonzero(targets == target))
        outside += members[: math.ceil(len(members) * _HELD_OUT)].tolist()
    return np.setdiff1d(np.arange(len(targets)), outside), np.array(sorted(outside))


def learn(
    network: Network,
    squares: Pixels,
    targets: npt.NDArray[np.int64],
    epochs: int,
    progress: Progress,
) -> None:
    """Train all weights with AdamW, on random crops, with a learning rate that falls to zero.

    Batch norms keep ImageNet's statistics: those of a few images are too noisy.
    """
    import torch
    from torch.nn.functional import cross_entropy

    rng = np.random.default_rng(0)
    total = epochs * math.ceil(len(squares) / _BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    network.eval()  # of the batch norms; gradients are computed all the same
    step = 0
    for epoch in range(epochs):
        order = rng.permutation(len(squares))
        for first in range(0, len(order), _BATCH):
            batch = order[first : first + _BATCH]
            logits, _ = network(as_input(random_crops(squares[batch], rng)))
            loss = cross_entropy(logits, torch.tensor(targets[batch]), label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            progress(step, total, f"epoch {epoch + 1}, loss {loss.item():.3f}")


def predict(network: Network, squares: Pixels) -> tuple[Floats, Floats]:
    """Logits and features of the middle of each square."""
    import torch

    network.eval()
    edge = _MARGIN // 2
    middle = squares[:, edge:-edge, edge:-edge]
    with torch.inference_mode():
        parts = [network(as_input(middle[i : i + _BATCH])) for i in range(0, len(middle), _BATCH)]
    logits, features = (torch.cat(tensors).numpy() for tensors in zip(*parts, strict=True))
    return logits, features


def random_crops(squares: Pixels, rng: np.random.Generator) -> Pixels:
    """A part of each square at a random place, _SIDE pixels wide."""
    places = rng.integers(0, _MARGIN + 1, (len(squares), 2))
    crops = [
        square[top : top + _SIDE, left : left + _SIDE]
        for square, (top, left) in zip(squares, places, strict=True)
    ]
    return np.stack(crops)


def as_input(pixels: Pixels) -> Tensor:
    """Images (n, side, side, 3) as the network's input, -1 to 1, channels first."""
    import torch

    return torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).float().div(127.5).sub(1)
