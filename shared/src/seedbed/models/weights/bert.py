"""Build the OpenVINO graph of a BERT sentence encoder from safetensors, without torch.

    convert(Path("all-MiniLM-L6-v2"), target)    # writes full.xml (float32) and fast.xml (int8)

The graph takes token ids and returns one L2-normalised vector per text, the mean over its tokens as
in sentence-transformers. Weights are looked up by the layer names of Hugging Face's BertModel.
Caching the files and LangChain's interface are left to `weights` and `embeddings`.

Architecture: Devlin et al. 2018, https://arxiv.org/abs/1810.04805. The int8 variant moves the range
of outlier channels into the weights: SmoothQuant, Xiao et al. 2022,
https://arxiv.org/abs/2211.10438.
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
Ranges = Mapping[str, tuple[Array, Array]]  # dense layer → lowest, highest input per channel
Node = Any  # openvino.Node or openvino.Model: the package ships no types

MAX_TOKENS = 256  # of all-MiniLM-L6-v2, in its sentence_bert_config.json
PROBE = "A text whose vector is known."


def convert(folder: Path, target: Path) -> None:
    """Convert the model in `folder`; writes its graphs, tokenizer and the vector of PROBE.

    The files in `target`: full.xml (float32), fast.xml (int8), tokenizer.json and probe.npy.
    """
    import openvino as ov
    from safetensors.numpy import load_file

    # 1. Read weights, configuration and tokenizer.
    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    tokenizer = load_tokenizer(folder / "tokenizer.json")
    # 2. Build the float32 graph, and embed PROBE for a check of int8 arithmetic at load time.
    full = build(weights, config)
    probe = ov.Core().compile_model(full, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(
        as_inputs([tokenizer.encode(PROBE).ids])
    )[0]
    np.save(target / "probe.npy", probe[0])
    ov.save_model(full, target / "full.xml", compress_to_fp16=False)
    # 3. Measure the range of activations on sample texts, and build the int8 graph from it.
    texts = (resources.files("seedbed.models") / "calibration.txt").read_text("utf-8").splitlines()
    samples = [as_inputs([tokenizer.encode(text).ids]) for text in texts]
    fast = build(weights, config, ranges=observe(weights, config, samples))
    ov.save_model(fast, target / "fast.xml", compress_to_fp16=False)
    shutil.copyfile(folder / "tokenizer.json", target / "tokenizer.json")


def load_tokenizer(path: Path, *, truncate: bool = True) -> Any:
    """The `tokenizers.Tokenizer` of a file, without padding; `truncate` cuts at MAX_TOKENS.

    The file's own limit, 128 tokens, is ignored, as in sentence-transformers.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if truncate:
        tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def as_inputs(ids: Sequence[Sequence[int]]) -> list[Array]:
    """Token ids and attention mask of n texts, both int32 (n, width), padded with zeros."""
    # OpenVINO compiles kernels for each new shape (some 10 ms), so widths are multiples of 8.
    width = -(-max(map(len, ids)) // 8) * 8
    tokens = np.zeros((len(ids), width), np.int32)
    mask = np.zeros((len(ids), width), np.int32)
    for row, text in enumerate(ids):
        tokens[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return [tokens, mask]


def build(weights: Weights, config: Mapping[str, Any], *, ranges: Ranges | None = None) -> Node:
    """An `openvino.Model`: `input_ids` and `attention_mask`, int32 (n, width) → float32 (n, d).

    With `ranges` (from `observe`), matrices and their inputs are int8, which a CPU with VNNI
    multiplies about three times as fast as float32.
    """
    return _Graph(weights, config, ranges).model()


def observe(weights: Weights, config: Mapping[str, Any], samples: Sequence[list[Array]]) -> Ranges:
    """The minimum and maximum of each channel of the input of every dense layer."""
    import openvino as ov
    from openvino import opset13 as op

    graph = _Graph(weights, config, None)
    parameters = graph.model().get_parameters()
    axes = np.array([0, 1], np.int64)
    outputs = [op.reduce_min(node, axes) for node in graph.inputs.values()]
    outputs += [op.reduce_max(node, axes) for node in graph.inputs.values()]
    model = ov.Core().compile_model(ov.Model(outputs, parameters, "observe"), "CPU")
    runs = [list(model(sample).values()) for sample in samples]
    count = len(graph.inputs)
    low = [np.min([run[i] for run in runs], axis=0) for i in range(count)]
    high = [np.max([run[i + count] for run in runs], axis=0) for i in range(count)]
    return {name: (low[i], high[i]) for i, name in enumerate(graph.inputs)}


class _Graph:
    """Builds the parts of the graph; `inputs` collects the inputs of its dense layers by name."""

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
        # 1. Padding (mask 0) gets -10,000 added to its attention scores: no weight after softmax.
        real = op.convert(mask, "f32")
        bias = op.multiply(op.subtract(real, np.float32(1)), np.float32(1e4))
        bias = op.unsqueeze(bias, np.array([1, 2], np.int64))
        # 2. Embeddings and encoder layers.
        x = self.norm(self.embed(ids), "embeddings.LayerNorm")
        for index in range(self.layers):
            x = self.layer(x, bias, f"encoder.layer.{index}")
        # 3. The mean over the tokens, without padding, scaled to length 1.
        weight = op.unsqueeze(real, np.int64(2))
        total = op.reduce_sum(op.multiply(x, weight), np.int64(1))
        mean = op.divide(total, op.reduce_sum(weight, np.int64(1)))
        vector = op.normalize_l2(mean, np.array([1], np.int64), 1e-24, "max")
        return ov.Model([op.result(vector)], [ids, mask], "bert")

    def embed(self, ids: Node) -> Node:
        op, zero, one = self.op, np.int64(0), np.int64(1)
        words = self.weights["embeddings.word_embeddings.weight"]
        # A text is one segment, so its segment embedding is constant: added to the positions.
        table = self.weights["embeddings.position_embeddings.weight"]
        table = table + self.weights["embeddings.token_type_embeddings.weight"][:1]
        positions = op.range(zero, op.gather(op.shape_of(ids), one, zero), one, "i64")
        vocabulary = op.constant(words) if self.ranges is None else self.int8(words)
        return op.add(op.gather(vocabulary, ids, zero), op.gather(table, positions, zero))

    def norm(self, x: Node, name: str) -> Node:
        op = self.op
        x = op.mvn(x, np.array([-1], np.int64), True, self.eps, "inside_sqrt")
        x = op.multiply(x, self.weights[f"{name}.weight"])
        return op.add(x, self.weights[f"{name}.bias"])

    def layer(self, x: Node, bias: Node, name: str) -> Node:
        op = self.op
        # (n, tokens, width) → (n, heads, tokens, width / heads), and back after the attention.
        order, split = np.array([0, 2, 1, 3], np.int64), np.array([0, 0, self.heads, -1], np.int64)
        joined = np.array([0, 0, self.width], np.int64)

        def head(part: str) -> Node:
            value = self.dense(x, f"{name}.attention.self.{part}")
            return op.transpose(op.reshape(value, split, True), order)

        context = op.scaled_dot_product_attention(head("query"), head("key"), head("value"), bias)
        context = op.reshape(op.transpose(context, order), joined, True)
        x = op.add(x, self.dense(context, f"{name}.attention.output.dense"))
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
            # A few channels have ten times the range of the rest, which would leave the rest few
            # of the 256 steps. Part of their range moves into the matrix; the product is the same.
            scale = np.clip(np.sqrt(peak / np.median(peak)), 1, None).astype(np.float32)
            x = op.multiply(x, 1 / scale)
            x = self.round(x, float((low / scale).min()), float((high / scale).max()))
            product = op.matmul(x, self.int8(matrix * scale), False, True)
        return op.add(product, self.weights[f"{name}.bias"])

    def round(self, x: Node, low: float, high: float) -> Node:
        """Quantise to 256 steps: unsigned after a GELU (hardly negative), else symmetric."""
        if -low > high / 8:
            low = -max(-low, high)
            high = -low * 127 / 128
        ends = np.float32(low), np.float32(high)
        return self.op.fake_quantize(x, *ends, *ends, 256)

    def int8(self, matrix: Array) -> Node:
        """A matrix as an int8 constant with one scale per row."""
        op = self.op
        scale = (np.abs(matrix).max(axis=1, keepdims=True) / 127).astype(np.float32)
        scale = np.maximum(scale, np.float32(1e-12))
        steps = np.round(matrix / scale).astype(np.int8)
        return op.multiply(op.convert(op.constant(steps), "f32"), scale)
