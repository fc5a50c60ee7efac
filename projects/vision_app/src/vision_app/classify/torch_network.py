"""EfficientNet-Lite0 as a torch module, to fine-tune all its weights; imported by `fine_tune` only.

    weights = torch_file.load(checkpoint)                  # {"_conv_stem.weight": float32 …, …}
    network = Network(weights)
    logits, features = network(images)                     # (n, 3, 224, 224), values -1 to 1
    efficientnet.build(network.weights())                  # the OpenVINO graph of the same network

Shapes come from the weights, and stages from `seedbed.models.efficientnet`, which builds the same
network for OpenVINO.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu6

from seedbed.models.efficientnet import STAGES

Weights = Mapping[str, npt.NDArray[Any]]


class Network(nn.Module):
    """Layers are in the order of the checkpoint, so that weights are matched by their position."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self._names = list(weights)
        layers: list[nn.Module] = [Convolution(weights["_conv_stem.weight"], 2)]
        for blocks, stride in STAGES:
            for repeat in range(blocks):
                name = f"_blocks.{len(layers) - 1}"
                layers.append(Block(weights, name, stride if repeat == 0 else 1))
        layers.append(Convolution(weights["_conv_head.weight"]))
        self.layers = nn.Sequential(*layers)
        classes, width = weights["_fc.weight"].shape
        self.head = nn.Linear(width, classes)
        tensors = [torch.tensor(array) for array in weights.values()]
        self.load_state_dict(dict(zip(self.state_dict(), tensors, strict=True)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, classes) and features (n, 1280)."""
        features = self.layers(images).mean((2, 3))
        return self.head(features), features

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """The weights as in the checkpoint."""
        tensors = (tensor.detach().cpu().numpy() for tensor in self.state_dict().values())
        return dict(zip(self._names, tensors, strict=True))


class Block(nn.Module):
    """Expands the channels, convolves each on its own, projects; adds the input if shapes agree."""

    def __init__(self, weights: Weights, name: str, stride: int) -> None:
        super().__init__()
        parts = []
        if f"{name}._expand_conv.weight" in weights:
            parts.append(Convolution(weights[f"{name}._expand_conv.weight"]))
        depthwise = weights[f"{name}._depthwise_conv.weight"]
        project = weights[f"{name}._project_conv.weight"]
        parts.append(Convolution(depthwise, stride, groups=len(depthwise)))
        parts.append(Convolution(project, linear=True))
        self.parts = nn.Sequential(*parts)
        self.skip = stride == 1 and parts[0].inputs == len(project)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.parts(x)
        return x + y if self.skip else y


class Convolution(nn.Module):
    """A convolution with TensorFlow's padding, a batch norm, and ReLU6 unless it is linear."""

    def __init__(
        self,
        kernel: npt.NDArray[Any],
        stride: int = 1,
        *,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        outputs, inputs, _, self.side = kernel.shape
        self.inputs, self.stride, self.linear = inputs * groups, stride, linear
        self.convolution = nn.Conv2d(
            self.inputs, outputs, self.side, stride, groups=groups, bias=False
        )
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)  # TensorFlow's default

    def forward(self, x: Tensor) -> Tensor:
        # "SAME": where the padding is odd, the extra row and column are at the end.
        height, width = (
            max((-(-size // self.stride) - 1) * self.stride + self.side - size, 0)
            for size in x.shape[2:]
        )
        x = pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        x = self.norm(self.convolution(x))
        return x if self.linear else relu6(x)
