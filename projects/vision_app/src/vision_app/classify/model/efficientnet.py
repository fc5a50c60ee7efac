"""Build the OpenVINO graph of EfficientNet-Lite0 from its torch checkpoint, without torch.

    convert([Path("efficientnet-lite0-57934424.pth")], target)    # writes model.xml and model.bin

The graph takes square uint8 images and returns the logits of ImageNet's 1,000 classes and the
1,280 features below them. Cropping images, caching the files and running the graph are left to
`image_model` and `seedbed.models.weights`.

Architecture: Tan & Le 2019, https://arxiv.org/abs/1905.11946, in the "Lite" variant without
squeeze-excitation and with ReLU6. The same network as timm's `tf_efficientnet_lite0`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vision_app.classify.model import torch_file

Array = npt.NDArray[Any]
Weights = Mapping[str, Array]
Node = Any  # openvino.Node or openvino.Model: the package ships no types

SIDE = 224  # pixels
# Number of blocks and stride of the first one, per stage. Kernel sizes, channels and expansions are
# in the shapes of the weights.
STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
_EPS = 1e-3  # of the batch norms; TensorFlow's default, not torch's


def convert(sources: Sequence[Path], target: Path) -> None:
    """Write model.xml and model.bin, float32, into the folder `target`."""
    import openvino as ov

    graph = build(torch_file.load(sources[0]))
    ov.save_model(graph, target / "model.xml", compress_to_fp16=False)


def build(weights: Weights) -> Node:
    """An `openvino.Model`: uint8 (n, 224, 224, 3) → logits float32 (n, 1000), features (n, 1280).

    Images are RGB. Batch norms are part of the convolutions.
    """
    return _Graph(weights).model()


class _Graph:
    """Builds the parts of the graph by the names of the weights."""

    def __init__(self, weights: Weights) -> None:
        from openvino import opset13

        self.op: Any = opset13
        self.weights = weights

    def model(self) -> Node:
        import openvino as ov

        op = self.op
        images = op.parameter([-1, SIDE, SIDE, 3], np.uint8, name="images")
        # 1. Pixels to -1 … 1, channels first.
        x = op.transpose(op.convert(images, "f32"), np.array([0, 3, 1, 2], np.int64))
        x = op.subtract(op.multiply(x, np.float32(1 / 127.5)), np.float32(1))
        # 2. The stem halves the image; the stages reduce it to 7x7.
        x = self.relu6(self.convolve(x, "_conv_stem", "_bn0", stride=2))
        index = 0
        for blocks, stride in STAGES:
            for repeat in range(blocks):
                x = self.block(x, f"_blocks.{index}", stride if repeat == 0 else 1)
                index += 1
        x = self.relu6(self.convolve(x, "_conv_head", "_bn1"))
        # 3. The mean over the image is the features, a matrix makes logits of them.
        features = op.reduce_mean(x, np.array([2, 3], np.int64))
        logits = op.matmul(features, op.constant(self.weights["_fc.weight"]), False, True)
        logits = op.add(logits, self.weights["_fc.bias"])
        outputs = [op.result(logits, name="logits"), op.result(features, name="features")]
        return ov.Model(outputs, [images], "efficientnet-lite0")

    def block(self, x: Node, name: str, stride: int) -> Node:
        """Expand the channels, convolve each on its own, project; add the input if shapes agree."""
        y = x
        if f"{name}._expand_conv.weight" in self.weights:
            y = self.relu6(self.convolve(y, f"{name}._expand_conv", f"{name}._bn0"))
        y = self.relu6(self.convolve(y, f"{name}._depthwise_conv", f"{name}._bn1", stride))
        y = self.convolve(y, f"{name}._project_conv", f"{name}._bn2")
        same = stride == 1 and x.get_output_partial_shape(0) == y.get_output_partial_shape(0)
        return self.op.add(x, y) if same else y

    def convolve(self, x: Node, name: str, norm: str, stride: int = 1) -> Node:
        """A convolution with the batch norm after it."""
        op = self.op
        kernel, bias = fold(self.weights, name, norm)
        # TensorFlow's "SAME": where the padding is odd, the extra row and column are at the end.
        strides, ones, zeros = [stride, stride], [1, 1], [0, 0]
        if name.endswith("_depthwise_conv"):
            y = op.group_convolution(
                x, kernel[:, :, None], strides, zeros, zeros, ones, "same_upper"
            )
        else:
            y = op.convolution(x, kernel, strides, zeros, zeros, ones, "same_upper")
        return op.add(y, bias.reshape(1, -1, 1, 1))

    def relu6(self, x: Node) -> Node:
        return self.op.clamp(x, 0, 6)


def fold(weights: Weights, name: str, norm: str) -> tuple[Array, Array]:
    """Kernel and bias of a convolution that includes the batch norm `norm` after it."""
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPS)
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    kernel = weights[f"{name}.weight"] * scale[:, None, None, None]
    return kernel.astype(np.float32), bias.astype(np.float32)
