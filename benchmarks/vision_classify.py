"""How fast EfficientNet-Lite0 is, here and in its peers: python benchmarks/vision_classify.py

From decoded pixels to logits, for one image and for 16, with the same cropping. The peers are torch
(eager) and onnxruntime. The candidates take turns, so that a busy moment affects all of them;
medians of the repetitions, and the median of the ratios within a round.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_sample_image

from vision_app.classify.efficientnet import STAGES, load_checkpoint
from vision_app.classify.image_model import centre_square, load_image_model
from seedbed.models.weights.catalog import MODELS
from seedbed.models.weights.ensure import source_file

Floats = npt.NDArray[np.float32]
BATCHES, ROUNDS, WARM_UP = (1, 16), 40, 5


def main() -> None:
    import torch

    torch.set_num_threads(os.cpu_count() or 1)  # overrides OMP_NUM_THREADS
    model = load_image_model()
    network = torch_network()
    session = onnx_session(network)
    result: dict[str, Any] = {}
    for count in BATCHES:
        images = ([load_sample_image("china.jpg"), load_sample_image("flower.jpg")] * count)[:count]
        candidates: dict[str, Callable[[], Floats]] = {
            "seedbed": lambda images=images: model.infer(images)[0],
            "torch": lambda images=images: torch_logits(network, as_inputs(images)),
            "onnxruntime": lambda images=images: session.run(None, {"images": as_inputs(images)})[
                0
            ],
        }
        times, difference = compare(candidates)
        result[f"images_{count}"] = {
            f"{name}_ms": round(1000 * statistics.median(values), 2)
            for name, values in times.items()
        }
        for peer in ("torch", "onnxruntime"):
            ratios = [a / b for a, b in zip(times[peer], times["seedbed"], strict=True)]
            result[f"ratio_{peer}_{count}"] = round(statistics.median(ratios), 2)
        result[f"images_{count}"]["largest_difference"] = difference
    print(json.dumps(result, indent=2))


def as_inputs(images: list[Any]) -> Floats:
    """The peers' input: float32 (n, 3, 224, 224), -1 to 1."""
    squares = np.stack([centre_square(image, 224) for image in images])
    return np.ascontiguousarray(squares.transpose(0, 3, 1, 2) / np.float32(127.5) - 1, np.float32)


def compare(candidates: dict[str, Callable[[], Floats]]) -> tuple[dict[str, list[float]], float]:
    """Seconds of each candidate by round, and the largest difference between their logits."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    logits = {name: run() for name, run in candidates.items()}
    for index in range(ROUNDS + WARM_UP):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if index >= WARM_UP:
                times[name].append(time.perf_counter() - start)
    first = logits["seedbed"]
    return times, round(max(float(abs(other - first).max()) for other in logits.values()), 5)


def torch_network() -> Any:
    """The same network of torch's modules, as timm builds it, with batch norms of their own."""
    import torch
    from torch import nn

    weights = load_checkpoint(source_file(MODELS["efficientnet-lite0"]))

    class Same(nn.ZeroPad2d):
        """TensorFlow's "SAME" padding of a convolution with stride 2 on an even side."""

        def __init__(self, kernel: int) -> None:
            total = kernel - 2
            super().__init__((total // 2, total - total // 2) * 2)

    def convolution(name: str, norm: str, stride: int = 1, activate: bool = True) -> list[Any]:
        kernel = torch.tensor(weights[f"{name}.weight"])
        out, side = kernel.shape[0], kernel.shape[2]
        groups = out if name.endswith("_depthwise_conv") else 1
        padding = side // 2 if stride == 1 else 0
        conv = nn.Conv2d(
            kernel.shape[1] * groups, out, side, stride, padding, groups=groups, bias=False
        )
        conv.weight.data = kernel
        batch_norm = nn.BatchNorm2d(out, eps=1e-3)
        for part in ("weight", "bias", "running_mean", "running_var"):
            getattr(batch_norm, part).data = torch.tensor(weights[f"{norm}.{part}"])
        padded = [Same(side)] if stride == 2 else []
        return [*padded, conv, batch_norm, *([nn.ReLU6(inplace=True)] if activate else [])]

    class Block(nn.Sequential):
        def __init__(self, name: str, stride: int) -> None:
            expand = f"{name}._expand_conv" if f"{name}._expand_conv.weight" in weights else ""
            project = convolution(f"{name}._project_conv", f"{name}._bn2", activate=False)
            super().__init__(
                *(convolution(expand, f"{name}._bn0") if expand else ()),
                *convolution(f"{name}._depthwise_conv", f"{name}._bn1", stride),
                *project,
            )
            width = weights[f"{name}.{'_expand' if expand else '_depthwise'}_conv.weight"]
            channels = width.shape[1] if expand else width.shape[0]
            self.residual = stride == 1 and channels == project[0].out_channels

        def forward(self, x: Any) -> Any:
            y = super().forward(x)
            return x + y if self.residual else y

    strides = [stride if i == 0 else 1 for count, stride in STAGES for i in range(count)]
    classes = nn.Linear(1280, 1000)
    classes.weight.data = torch.tensor(weights["_fc.weight"])
    classes.bias.data = torch.tensor(weights["_fc.bias"])
    return nn.Sequential(
        *convolution("_conv_stem", "_bn0", 2),
        *(Block(f"_blocks.{index}", stride) for index, stride in enumerate(strides)),
        *convolution("_conv_head", "_bn1"),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        classes,
    ).eval()


def torch_logits(network: Any, inputs: Floats) -> Floats:
    import torch

    with torch.inference_mode():
        logits: Floats = network(torch.from_numpy(inputs)).numpy()
    return logits


def onnx_session(network: Any) -> Any:
    """The exported network in onnxruntime, with its default options."""
    import onnxruntime
    import torch
    from torch.onnx._internal.torchscript_exporter import onnx_proto_utils

    # This hook adds onnxscript functions to the file. There are none, but it would import `onnx`.
    onnx_proto_utils._add_onnxscript_fn = lambda model, _: model
    warnings.filterwarnings("ignore", module="torch.onnx")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.onnx")
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, 224, 224),),
            path,
            input_names=["images"],
            output_names=["logits"],
            dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}},
            dynamo=False,
        )
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
