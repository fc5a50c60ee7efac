"""Build the OpenVINO graph of a BERT sentence encoder, without torch.

    encoder = read(Path("all-MiniLM-L6-v2"))
    convert(encoder, MODELS["minilm"], target)    # writes full.xml (float32) and fast.xml (int8)

The graph takes token ids and returns one L2-normalised vector per text, the mean over its tokens as
in sentence-transformers. Weights are looked up by the layer names of Hugging Face's BertModel.

Architecture: Devlin et al. 2018, https://arxiv.org/abs/1810.04805. The int8 variant moves the range
of outlier channels into the weights: SmoothQuant, Xiao et al. 2022,
https://arxiv.org/abs/2211.10438.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seedbed.models.weights.catalog import Model

Array = npt.NDArray[Any]
Weights = Mapping[str, Array]
Ranges = Mapping[str, tuple[Array, Array]]  # dense layer → lowest, highest input per channel
Node = Any  # openvino.Node or openvino.Model: the package ships no types

PROBE = "A text whose vector is known."


@dataclass(frozen=True)
class Encoder:
    """A sentence encoder to convert: weights by name, `config.json`, a `tokenizers.Tokenizer`.

    The ranges of its activations are measured on the texts in `samples`, files beside this package.
    `centring` is the share of their mean vector that is subtracted from every vector: a model whose
    vectors all point in one direction gives even unrelated texts a cosine of 0.7. `integer_zero`
    makes int8 activations represent 0 exactly, see `_Graph.round`.
    """

    weights: Weights
    config: Mapping[str, Any]
    tokenizer: Any
    samples: Sequence[str] = ("calibration.txt",)
    centring: float = 0.0
    integer_zero: bool = True


def read(folder: Path) -> Encoder:
    """The encoder in a Hugging Face folder with safetensors."""
    from safetensors.numpy import load_file

    return Encoder(
        load_file(folder / "model.safetensors"),
        json.loads((folder / "config.json").read_text("utf-8")),
        load_tokenizer(folder / "tokenizer.json"),
        integer_zero=False,  # with it, vectors would differ from those that collections contain
    )


def convert(encoder: Encoder, model: Model, target: Path) -> None:
    """Convert an encoder; writes its graphs, tokenizer and the vector of PROBE.

    The files in `target`: full.xml (float32), fast.xml (int8), tokenizer.json and probe.npy.
    """
    import openvino as ov

    def embed(graph: Node, inputs: Sequence[list[Array]]) -> Array:
        run = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return np.concatenate([run(batch)[0] for batch in inputs])

    def tokenize(texts: Sequence[str]) -> list[list[Array]]:
        ids = token_ids(encoder.tokenizer, texts, model.context_window)
        return [as_inputs([text]) for text in ids]

    # 1. Tokenise sample texts, with each of the prefixes that the model expects.
    files = [resources.files("seedbed.models.weights") / name for name in encoder.samples]
    texts = [line for file in files for line in file.read_text("utf-8").splitlines()]
    prefixes = dict.fromkeys((model.query_prefix, model.passage_prefix))
    samples = tokenize([prefix + text for prefix in prefixes for text in texts])
    # 2. Build the float32 graph, and embed PROBE for a check of int8 arithmetic at load time.
    centre = None
    if encoder.centring:
        centre = encoder.centring * embed(build(encoder), samples).mean(axis=0)
    full = build(encoder, centre=centre)
    np.save(target / "probe.npy", embed(full, tokenize([model.passage_prefix + PROBE]))[0])
    ov.save_model(full, target / "full.xml", compress_to_fp16=False)
    # 3. Measure the range of activations on the sample texts, and build the int8 graph from it.
    fast = build(encoder, ranges=observe(encoder, samples), centre=centre)
    ov.save_model(fast, target / "fast.xml", compress_to_fp16=False)
    encoder.tokenizer.save(str(target / "tokenizer.json"), pretty=False)


def load_tokenizer(path: Path) -> Any:
    """The `tokenizers.Tokenizer` of a file, without padding and truncation; see `token_ids`."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def token_ids(tokenizer: Any, texts: Sequence[str], limit: int) -> list[list[int]]:
    """The ids of each text, at most `limit`: too long a text loses its end, not the last token."""
    # A tokenizer that truncates could not count tokens; loading a second one takes up to 280 MB.
    encodings = tokenizer.encode_batch_fast(list(texts))
    ids = (encoding.ids for encoding in encodings)
    return [text if len(text) <= limit else [*text[: limit - 1], text[-1]] for text in ids]


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


def build(encoder: Encoder, *, ranges: Ranges | None = None, centre: Array | None = None) -> Node:
    """An `openvino.Model`: `input_ids` and `attention_mask`, int32 (n, width) → float32 (n, d).

    With `ranges` (from `observe`), matrices and their inputs are int8, which a CPU with VNNI
    multiplies about three times as fast as float32. `centre` is subtracted from each vector.
    """
    return _Graph(encoder, ranges, centre).model()


def observe(encoder: Encoder, samples: Sequence[list[Array]]) -> Ranges:
    """The minimum and maximum of each channel of the input of every dense layer."""
    import openvino as ov
    from openvino import opset13 as op

    graph = _Graph(encoder)
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

    def __init__(
        self, encoder: Encoder, ranges: Ranges | None = None, centre: Array | None = None
    ) -> None:
        from openvino import opset13

        self.op: Any = opset13
        self.weights, self.ranges, self.centre = encoder.weights, ranges, centre
        self.integer_zero, config = encoder.integer_zero, encoder.config
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
        vector = self.unit(mean)
        if self.centre is not None:
            vector = self.unit(op.subtract(vector, self.centre[None]))
        return ov.Model([op.result(vector)], [ids, mask], "bert")

    def unit(self, vector: Node) -> Node:
        return self.op.normalize_l2(vector, np.array([1], np.int64), 1e-24, "max")

    def embed(self, ids: Node) -> Node:
        op, zero, one = self.op, np.int64(0), np.int64(1)
        table = self.weights["embeddings.word_embeddings.weight"]
        if self.ranges is None:
            words = op.gather(op.constant(table), ids, zero)
        else:
            # Scaled after the look-up; OpenVINO would turn a scaled table into one of float32.
            steps, scale = self.quantise(table)
            words = op.convert(op.gather(steps, ids, zero), "f32")
            words = op.multiply(words, op.gather(op.constant(scale), ids, zero))
        # A text is one segment, so its segment embedding is constant: added to the positions.
        table = self.weights["embeddings.position_embeddings.weight"]
        table = table + self.weights["embeddings.token_type_embeddings.weight"][:1]
        positions = op.range(zero, op.gather(op.shape_of(ids), one, zero), one, "i64")
        return op.add(words, op.gather(table, positions, zero))

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
        elif self.integer_zero:
            # OpenVINO's kernels round the step for 0 to an integer. If it is not one already, every
            # product is off: multilingual-e5's mean cosine to float32 is 0.995 instead of 0.999.
            zero = round(255 * -low / (high - low))
            low = -high * zero / (255 - zero)
        ends = np.float32(low), np.float32(high)
        return self.op.fake_quantize(x, *ends, *ends, 256)

    def int8(self, matrix: Array) -> Node:
        steps, scale = self.quantise(matrix)
        return self.op.multiply(self.op.convert(steps, "f32"), scale)

    def quantise(self, matrix: Array) -> tuple[Node, Array]:
        """A matrix as an int8 constant, and its float32 scales, one per row."""
        scale = (np.abs(matrix).max(axis=1, keepdims=True) / 127).astype(np.float32)
        scale = np.maximum(scale, np.float32(1e-12))
        return self.op.constant(np.round(matrix / scale).astype(np.int8)), scale
