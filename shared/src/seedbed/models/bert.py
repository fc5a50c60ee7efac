"""Builds the OpenVINO graph of a BERT sentence encoder from its safetensors, without torch.

Token ids in, one L2-normalised vector a text out (mean over the tokens, as sentence-transformers
pools). It knows the layer names of Hugging Face's BertModel, and nothing of caches or LangChain.
Architecture: Devlin et al. 2018, https://arxiv.org/abs/1810.04805. The int8 variant moves the
range of outlier channels into the weights: Xiao et al. 2022, https://arxiv.org/abs/2211.10438.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Weights = Mapping[str, Array]
Ranges = Mapping[str, tuple[Array, Array]]  # dense layer → lowest, highest input a channel
Node = Any  # openvino.Node and openvino.Model: the package ships no types

MAX_TOKENS = 256  # what all-MiniLM-L6-v2 was trained with: sentence_bert_config.json
PROBE = "A text whose vector is known."


def convert(folder: Path, target: Path) -> None:
    """Write `full.xml` (float32), `fast.xml` (int8), the tokenizer and the vector of PROBE."""
    import openvino as ov
    from safetensors.numpy import load_file

    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    texts = (resources.files("seedbed.models") / "calibration.txt").read_text("utf-8").splitlines()
    samples = [as_inputs([tokenizer.encode(text).ids]) for text in texts]
    full = build(weights, config)
    probe = ov.Core().compile_model(full, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
        as_inputs([tokenizer.encode(PROBE).ids])
    )[0]
    np.save(target / "probe.npy", probe[0])
    ov.save_model(full, target / "full.xml", compress_to_fp16=False)
    fast = build(weights, config, ranges=observe(weights, config, samples))
    ov.save_model(fast, target / "fast.xml", compress_to_fp16=False)
    shutil.copyfile(folder / "tokenizer.json", target / "tokenizer.json")


def load_tokenizer(path: Path, *, truncate: bool = True) -> Any:
    """The `tokenizers.Tokenizer` without padding; the file's own limits (128) are not ours."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if truncate:
        tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def as_inputs(ids: Sequence[Sequence[int]]) -> list[Array]:
    """Token ids and mask, int32 (n, width), padded with zeros."""
    # OpenVINO compiles kernels for each new shape (some 10 ms): few widths, few of these.
    width = -(-max(map(len, ids)) // 8) * 8
    tokens = np.zeros((len(ids), width), np.int32)
    mask = np.zeros((len(ids), width), np.int32)
    for row, text in enumerate(ids):
        tokens[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return [tokens, mask]


def build(weights: Weights, config: Mapping[str, Any], *, ranges: Ranges | None = None) -> Node:
    """An `openvino.Model`: `input_ids` and `attention_mask`, int32 (n, tokens) → float32 (n, d).

    With `ranges` (from `observe`) its matrices and their inputs are int8, which a CPU with VNNI
    multiplies about three times as fast as float32.
    """
    return _Graph(weights, config, ranges).model()


def observe(weights: Weights, config: Mapping[str, Any], samples: Sequence[list[Array]]) -> Ranges:
    """The lowest and highest value that each channel of each dense layer's input takes."""
    import openvino as ov
    from openvino import opset13 as op

    graph = _Graph(weights, config, None)
    parameters = graph.model().get_parameters()
    axes = np.array([0, 1], np.int64)
    outputs = [op.reduce_min(node, axes) for node in graph.inputs.values()]
    outputs += [op.reduce_max(node, axes) for node in graph.inputs.values()]
    model = ov.Core().compile_model(ov.Model(outputs, parameters, "observe"), "CPU")
    seen = [list(model(sample).values()) for sample in samples]
    count = len(graph.inputs)
    low = [np.min([run[i] for run in seen], axis=0) for i in range(count)]
    high = [np.max([run[i + count] for run in seen], axis=0) for i in range(count)]
    return {name: (low[i], high[i]) for i, name in enumerate(graph.inputs)}


class _Graph:
    """The parts of the graph over the weights they read; `inputs` are those of its dense layers."""

    def __init__(self, weights: Weights, config: Mapping[str, Any], ranges: Ranges | None) -> None:
        from openvino import opset13

        self.op: Any = opset13
        self.weights, self.ranges = weights, ranges
        self.inputs: dict[str, Node] = {}
        self.layers, self.heads = config["num_hidden_layers"], config["num_attention_heads"]
        self.eps, self.width = float(config["layer_norm_eps"]), config["hidden_size"]

    def model(self) -> Node:
        import openvino as ov

        op = self.op
        ids = op.parameter([-1, -1], np.int32, name="input_ids")
        mask = op.parameter([-1, -1], np.int32, name="attention_mask")
        real = op.convert(mask, "f32")  # 1 for a token, 0 for padding
        # Added to the attention scores, so that padding weighs nothing after the softmax.
        bias = op.multiply(op.subtract(real, np.float32(1)), np.float32(1e4))
        bias = op.unsqueeze(bias, np.array([1, 2], np.int64))
        x = self.norm(self.embed(ids), "embeddings.LayerNorm")
        for index in range(self.layers):
            x = self.layer(x, bias, f"encoder.layer.{index}")
        weight = op.unsqueeze(real, np.int64(2))
        total = op.reduce_sum(op.multiply(x, weight), np.int64(1))
        mean = op.divide(total, op.reduce_sum(weight, np.int64(1)))
        vector = op.normalize_l2(mean, np.array([1], np.int64), 1e-24, "max")
        return ov.Model([op.result(vector)], [ids, mask], "bert")

    def embed(self, ids: Node) -> Node:
        op, zero, one = self.op, np.int64(0), np.int64(1)
        words = self.weights["embeddings.word_embeddings.weight"]
        # One text is one segment: its embedding is the same everywhere and joins the positions.
        places = self.weights["embeddings.position_embeddings.weight"]
        places = places + self.weights["embeddings.token_type_embeddings.weight"][:1]
        here = op.range(zero, op.gather(op.shape_of(ids), one, zero), one, "i64")
        table = op.constant(words) if self.ranges is None else self.int8(words)
        return op.add(op.gather(table, ids, zero), op.gather(places, here, zero))

    def norm(self, x: Node, name: str) -> Node:
        op = self.op
        x = op.mvn(x, np.array([-1], np.int64), True, self.eps, "inside_sqrt")
        x = op.multiply(x, self.weights[f"{name}.weight"])
        return op.add(x, self.weights[f"{name}.bias"])

    def layer(self, x: Node, bias: Node, name: str) -> Node:
        op = self.op
        order, split = np.array([0, 2, 1, 3], np.int64), np.array([0, 0, self.heads, -1], np.int64)

        def head(part: str) -> Node:
            value = self.dense(x, f"{name}.attention.self.{part}")
            return op.transpose(op.reshape(value, split, True), order)

        seen = op.scaled_dot_product_attention(head("query"), head("key"), head("value"), bias)
        joined = np.array([0, 0, self.width], np.int64)
        seen = op.reshape(op.transpose(seen, order), joined, True)
        x = op.add(x, self.dense(seen, f"{name}.attention.output.dense"))
        x = self.norm(x, f"{name}.attention.output.LayerNorm")
        inner = op.gelu(self.dense(x, f"{name}.intermediate.dense"), "erf")
        x = op.add(x, self.dense(inner, f"{name}.output.dense"))
        return self.norm(x, f"{name}.output.LayerNorm")

    def dense(self, x: Node, name: str) -> Node:
        op, matrix = self.op, self.weights[f"{name}.weight"]
        self.inputs[name] = x
        if self.ranges is None:
            product = op.matmul(x, op.constant(matrix), False, True)
        else:
            low, high = self.ranges[name]
            peak = np.maximum(-low, high)
            # A few channels reach ten times as far as the rest and would leave those a handful
            # of steps: part of their range moves into the matrix, which the product cancels.
            scale = np.clip(np.sqrt(peak / np.median(peak)), 1, None).astype(np.float32)
            x = op.multiply(x, 1 / scale)
            x = self.round(x, float((low / scale).min()), float((high / scale).max()))
            product = op.matmul(x, self.int8(matrix * scale), False, True)
        return op.add(product, self.weights[f"{name}.bias"])

    def round(self, x: Node, low: float, high: float) -> Node:
        """To 256 steps: unsigned after a GELU, which hardly goes below zero, else symmetric."""
        if -low > high / 8:
            low = -max(-low, high)
            high = -low * 127 / 128
        ends = np.float32(low), np.float32(high)
        return self.op.fake_quantize(x, *ends, *ends, 256)

    def int8(self, matrix: Array) -> Node:
        """A constant of int8 rows, each with its own scale."""
        op = self.op
        scale = (np.abs(matrix).max(axis=1, keepdims=True) / 127).astype(np.float32)
        scale = np.maximum(scale, np.float32(1e-12))
        whole = np.round(matrix / scale).astype(np.int8)
        return op.multiply(op.convert(op.constant(whole), "f32"), scale)
