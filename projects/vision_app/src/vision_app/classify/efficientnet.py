"""Build the OpenVINO graph of EfficientNet-Lite0 from its torch checkpoint, without torch.

    convert([Path("efficientnet-lite0-57934424.pth")], target)    # writes model.xml and model.bin

The graph takes square uint8 images and returns the logits of ImageNet's 1,000 classes and the
1,280 features below them.

Architecture: Tan & Le 2019, https://arxiv.org/abs/1905.11946, in the "Lite" variant without
squeeze-excitation and with ReLU6. The same network as timm's `tf_efficientnet_lite0`.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

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

    graph = build(load_checkpoint(sources[0]))
    ov.save_model(graph, target / "model.xml", compress_to_fp16=False)


def load_checkpoint(path: Path) -> Weights:
    """The tensors of a state dict in torch's format from before 1.6, by name.

    Five pickles (`_legacy_save` in torch/serialization.py): a magic number, the version, facts
    about the writer, the state dict and the keys of the storages; then each storage, as an int64
    count followed by its numbers. Only a file with the digest of the catalogue gets here.
    """
    with path.open("rb") as stream:
        *_, tensors, keys = [_Unpickler(stream).load() for _ in range(5)]
        types = {key: dtype for (key, dtype), *_ in tensors.values()}
        numbers = {}
        for key in keys:
            [count] = np.frombuffer(stream.read(8), "<i8")
            numbers[key] = stream.read(int(count) * types[key].itemsize)
    weights = {}
    for name, ((key, dtype), offset, shape, strides) in tensors.items():
        size = dtype.itemsize
        steps = [stride * size for stride in strides]
        weights[name] = np.ndarray(shape, dtype, numbers[key], offset * size, steps).copy()
    return weights


class _Unpickler(pickle.Unpickler):
    """A pickle is a program: any other function than these four is refused before it is called."""

    allowed: Mapping[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): lambda *parts: parts[:4],
        ("torch", "FloatStorage"): np.dtype("<f4"),
        ("torch", "LongStorage"): np.dtype("<i8"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}.")
        return self.allowed[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """The key and the type of a storage."""
        return pid[2], pid[1]


def build(weights: Weights) -> Node:
    """An `openvino.Model`: uint8 (n, 224, 224, 3) → logits float32 (n, 1000), features (n, 1280).

    Images are RGB. Batch norms are part of the convolutions.
    """
    import openvino as ov
    from openvino import opset13

    op: Any = opset13

    def convolve(x: Node, name: str, norm: str, stride: int = 1) -> Node:
        """A convolution with the batch norm after it."""
        scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPS)
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        kernel = (weights[f"{name}.weight"] * scale[:, None, None, None]).astype(np.float32)
        # TensorFlow's "SAME": where the padding is odd, the extra row and column are at the end.
        options = ([stride, stride], [0, 0], [0, 0], [1, 1], "same_upper")
        if name.endswith("_depthwise_conv"):
            y = op.group_convolution(x, kernel[:, :, None], *options)
        else:
            y = op.convolution(x, kernel, *options)
        return op.add(y, bias.astype(np.float32).reshape(1, -1, 1, 1))

    def relu6(x: Node) -> Node:
        return op.clamp(x, 0, 6)

    def block(x: Node, name: str, stride: int) -> Node:
        """Expand the channels, convolve each on its own, project; add the input if shapes agree."""
        y = x
        if f"{name}._expand_conv.weight" in weights:
            y = relu6(convolve(y, f"{name}._expand_conv", f"{name}._bn0"))
        y = relu6(convolve(y, f"{name}._depthwise_conv", f"{name}._bn1", stride))
        y = convolve(y, f"{name}._project_conv", f"{name}._bn2")
        same = stride == 1 and x.get_output_partial_shape(0) == y.get_output_partial_shape(0)
        return op.add(x, y) if same else y

    images = op.parameter([-1, SIDE, SIDE, 3], np.uint8, name="images")
    # 1. Pixels to -1 … 1, channels first.
    x = op.transpose(op.convert(images, "f32"), np.array([0, 3, 1, 2], np.int64))
    x = op.subtract(op.multiply(x, np.float32(1 / 127.5)), np.float32(1))
    # 2. The stem halves the image; the stages reduce it to 7x7.
    x = relu6(convolve(x, "_conv_stem", "_bn0", stride=2))
    strides = [stride if first == 0 else 1 for count, stride in STAGES for first in range(count)]
    for index, stride in enumerate(strides):
        x = block(x, f"_blocks.{index}", stride)
    x = relu6(convolve(x, "_conv_head", "_bn1"))
    # 3. The mean over the image is the features, a matrix makes logits of them.
    features = op.reduce_mean(x, np.array([2, 3], np.int64))
    logits = op.matmul(features, op.constant(weights["_fc.weight"]), False, True)
    logits = op.add(logits, weights["_fc.bias"])
    outputs = [op.result(logits, name="logits"), op.result(features, name="features")]
    return ov.Model(outputs, [images], "efficientnet-lite0")
