"""EfficientNet-Lite0 in torch, to fine-tune all its weights; imported by `train.fine_tune` only.

    network = Network(torch_file.load(checkpoint))         # {"_conv_stem.weight": float32 …, …}
    learn(network, squares, targets, 10, None)             # squares uint8 (n, 256, 256, 3)
    logits, features = predict(network, squares)
    efficientnet.build(network.weights())                  # the OpenVINO graph of the same network

`efficientnet` builds the same network, with the same names, for OpenVINO.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, cross_entropy, linear, pad, relu6

from vision_app.classify.model.efficientnet import SIDE, STAGES, Weights
from vision_app.classify.train import Floats, Targets
from vision_app.files.pixels import Pixels
from seedbed.cli import Progress

MARGIN = 32  # pixels around random crops of SIDE: 224 of 256 is the crop of inference
_BATCH = 16


class Network:
    """The network of a checkpoint's weights; calling it returns logits and features.

    Batch norms keep the statistics of ImageNet: those of a few images are too noisy.
    """

    def __init__(self, weights: Weights) -> None:
        self._tensors = {name: torch.tensor(array) for name, array in weights.items()}
        names = (name for name in weights if name.endswith(("weight", "bias")))
        self.trainable = [self._tensors[name].requires_grad_() for name in names]

    def __call__(self, images: Pixels) -> tuple[Tensor, Tensor]:
        """Logits (n, classes) and features (n, 1280) of images (n, 224, 224, 3)."""
        x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1
        x = relu6(self._convolve(x, "_conv_stem", "_bn0", 2))
        strides = [stride for blocks, first in STAGES for stride in (first, *[1] * (blocks - 1))]
        for index, stride in enumerate(strides):
            x = self._block(x, f"_blocks.{index}", stride)
        features = relu6(self._convolve(x, "_conv_head", "_bn1")).mean((2, 3))
        return linear(features, self._tensors["_fc.weight"], self._tensors["_fc.bias"]), features

    def _block(self, x: Tensor, name: str, stride: int) -> Tensor:
        """Expand the channels, convolve each on its own, project; add the input if shapes agree."""
        y = x
        if f"{name}._expand_conv.weight" in self._tensors:
            y = relu6(self._convolve(y, f"{name}._expand_conv", f"{name}._bn0"))
        y = relu6(self._convolve(y, f"{name}._depthwise_conv", f"{name}._bn1", stride))
        y = self._convolve(y, f"{name}._project_conv", f"{name}._bn2")
        return x + y if x.shape == y.shape else y

    def _convolve(self, x: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
        """A convolution with TensorFlow's padding, and the batch norm after it."""
        kernel = self._tensors[f"{name}.weight"]
        # "SAME": where the padding is odd, the extra row and column are at the end. Images, and
        # hence what the layers pass on, are square.
        size = x.shape[2]
        space = max((-(-size // stride) - 1) * stride + kernel.shape[2] - size, 0)
        x = pad(x, (space // 2, space - space // 2) * 2)
        x = conv2d(x, kernel, stride=stride, groups=x.shape[1] // kernel.shape[1])
        parts = ("running_mean", "running_var", "weight", "bias")
        mean, variance, scale, shift = (self._tensors[f"{norm}.{part}"] for part in parts)
        return batch_norm(x, mean, variance, scale, shift, eps=1e-3)

    def weights(self) -> Weights:
        """The weights as in the checkpoint."""
        return {name: tensor.detach().numpy() for name, tensor in self._tensors.items()}


def learn(
    network: Network, squares: Pixels, targets: Targets, epochs: int, progress: Progress | None
) -> None:
    """Train all weights with AdamW, on random crops, with a learning rate that falls to zero."""
    rng = np.random.default_rng(0)
    steps = math.ceil(len(squares) / _BATCH)
    optimizer = torch.optim.AdamW(network.trainable, lr=3e-4, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    for epoch in range(epochs):
        for step, batch in enumerate(np.array_split(rng.permutation(len(squares)), steps), 1):
            logits, _ = network(np.stack([_random_crop(squares[index], rng) for index in batch]))
            loss = cross_entropy(logits, torch.tensor(targets[batch]), label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if progress:
                progress(epoch * steps + step, epochs * steps, f"loss {loss.item():.3f}")


def _random_crop(square: Pixels, rng: np.random.Generator) -> Pixels:
    top, left = rng.integers(0, MARGIN + 1, 2)
    return square[top : top + SIDE, left : left + SIDE]


def predict(network: Network, squares: Pixels) -> tuple[Floats, Floats]:
    """Logits and features of the middle of each square."""
    edge = MARGIN // 2
    middle = squares[:, edge:-edge, edge:-edge]
    with torch.inference_mode():
        parts = [network(middle[i : i + _BATCH]) for i in range(0, len(middle), _BATCH)]
    logits, features = (torch.cat(tensors).numpy() for tensors in zip(*parts, strict=True))
    return logits, features
