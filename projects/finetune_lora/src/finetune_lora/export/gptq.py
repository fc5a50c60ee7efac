"""Four bits calibrated on text: later weights compensate for the rounding error of earlier ones.

GPTQ of Frantar et al. (2022), https://arxiv.org/abs/2210.17323. What a LoRA adapter adds to a
weight is mostly less than half a step of four bits, so plain rounding loses much of it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from finetune_lora.example import Example
from finetune_lora.export.four_bits import BLOCK, grid, nearest, pack
from finetune_lora.model.encode import encode_one

log = logging.getLogger(__name__)

_EXAMPLES, _TOKENS = 64, 512
"""How many, and how many tokens of each. Measured on the shipped task: half as many lose some."""
_DAMPING = 0.01
"""Of the mean of the diagonal, added to all of it: inputs that are seldom seen stay in bounds."""


def quantize_on(folder: Path, examples: Sequence[Example]) -> dict[str, Any]:
    """A model's linear layers as bytes of Q4_1, by the names of their tensors.

    A sample of the examples goes through the model once, each layer being rounded as it is reached,
    so that those behind it see what it makes of them. It takes four bytes of memory a parameter.
    """
    import torch
    from gguf import GGMLQuantizationType, dequantize
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    rows = _sample(AutoTokenizer.from_pretrained(folder), examples)
    log.info("Calibrating 4-bit weights on %d examples; this can take a minute.", len(rows))
    # Padding at the end of rows can have any value: no token attends to later ones.
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    real = torch.arange(ids.shape[1]) < torch.tensor([[len(row)] for row in rows])
    packed: dict[str, Any] = {}
    last: list[Any] = [None, None]  # inputs and their `spread`: a block's layers share some

    def reached(name: str, linear: Any, inputs: tuple[Any, ...]) -> None:
        if inputs[0] is not last[0]:
            seen = inputs[0][real]
            last[:] = inputs[0], spread((seen.T @ seen).numpy())
        packed[f"{name}.weight"] = gptq(linear.weight.numpy(), last[1])
        read_back = dequantize(packed[f"{name}.weight"], GGMLQuantizationType.Q4_1)
        linear.weight.copy_(torch.from_numpy(read_back))

    for name, module in model.named_modules():
        inner = isinstance(module, torch.nn.Linear) and module is not model.get_output_embeddings()
        if inner and module.in_features % BLOCK == 0:
            module.register_forward_pre_hook(partial(reached, name))
    with torch.no_grad():
        model.base_model(input_ids=ids, use_cache=False)
    return packed


def _sample(tokenizer: Any, examples: Sequence[Example]) -> list[list[int]]:
    sample = random.Random(0).sample(list(examples), min(_EXAMPLES, len(examples)))
    return [encode_one(tokenizer, example).ids[:_TOKENS] for example in sample]


def spread(products: Any) -> Any:
    """How an error of weight i is best spread over the weights behind it: row i of (k, k).

    `products` is X.T @ X of the inputs X, (tokens, k).
    """
    import numpy as np

    damped = products + _DAMPING * np.diag(products).mean() * np.eye(len(products))
    return np.linalg.cholesky(np.linalg.inv(damped)).T.astype(np.float32)


def gptq(weights: Any, spread: Any) -> Any:
    """float32 weights, (n, k), as bytes of Q4_1 that make of the inputs nearly the same."""
    import numpy as np

    rows = weights.copy()
    packed = []
    for start in range(0, rows.shape[1], BLOCK):
        end = start + BLOCK
        block = rows[:, start:end]
        scale, zero = grid(block)
        steps, errors = np.empty_like(block), np.empty_like(block)
        for i in range(BLOCK):
            weight = block[:, i : i + 1]
            step = nearest(weight, scale, zero)
            error = (weight - (step - zero) * scale) / spread[start + i, start + i]
            block[:, i + 1 :] -= error * spread[start + i, start + i + 1 : end]
            steps[:, i : i + 1], errors[:, i : i + 1] = step, error
        rows[:, end:] -= errors @ spread[start:end, end:]
        packed.append(pack(steps, scale, zero))
    return np.concatenate(packed, axis=1)
