"""Fine-tunes SmolLM2-135M on data-to-text with one method, and scores its texts.

    fine_tune(Cell("smollm2-lora", 0, settings), workspace)      # settings: `cells`
    # {"bleu": 54.1, "slots": 96.0, "trained_parameters": 1220000, …}

80 steps of 8 examples are 3 to 6 minutes with two cores that multiply bfloat16. Twice as long
without AVX-512 or AMX; limit with RESEARCH_MINUTES. The loss is on the reference's tokens only.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from research_repro.paper import Cell, Result
from research_repro.papers.lora.method import add_lora, make_batch, merge, train
from research_repro.papers.lora.metrics import scores
from research_repro.papers.lora.records import generate
from research_repro.runs.workspace import Workspace
from seedbed.errors import WeightsError
from seedbed.models.weights.hf_folder import hf_folder, resolve_dtype
from seedbed.runs.training import quiet_loading
from seedbed.safety.secrets import reason

_TEST_BATCH = 64


def fine_tune(cell: Cell, workspace: Workspace, model_spec: str = "smollm2") -> Result:
    """Train, generate and score. Raises WeightsError for a model that cannot be loaded."""
    settings = cell.settings
    bf16 = resolve_dtype("auto") == "bfloat16"  # if the processor is faster with it
    # 1. Load the model, and prepare it for the method.
    training, test = generate(0, 1000, "train"), generate(0, 630, "test")
    model, tokenizer = load_model(hf_folder(model_spec))
    parameters = model.num_parameters()
    trained = prepare(model, settings["method"], settings["options"], cell.seed)
    # 2. Train on all pairs of a meaning representation and one of its references.
    pairs = [(record.mr, text) for record in training for text in record.references]
    losses = train(
        model,
        _batches(pairs, tokenizer, cell.seed, settings["batch"]),
        workspace,
        cell,
        steps=settings["steps"],
        learning_rate=settings["learning_rate"],
        warmup=settings["warmup"],
        bf16=bf16,
    )
    # 3. Generate with merged weights: LoRA is then as fast as the base model.
    merge(model)
    if bf16:
        model.to(torch.bfloat16)  # all weights rounded, for every method: takes half the time
    records = Random(0).sample(test, settings["test_records"])
    texts = write_texts(model, tokenizer, [f"{record.mr}\n" for record in records])
    # 4. Score.
    return {
        **scores(texts, records),
        "loss": statistics.fmean(losses[-20:]),
        "trained_parameters": trained,
        "parameters": parameters,
        "texts": [[record.mr, text] for record, text in zip(records[:5], texts, strict=False)],
    }


def prepare(model: nn.Module, method: str, options: Mapping[str, Any], seed: int = 0) -> int:
    """Prepare a model for "lora" or "full", fine-tuning; returns the number of parameters to train.

    `options` and `seed` are those of `add_lora`; fine-tuning has none.
    """
    if method == "lora":
        return add_lora(model, **options, seed=seed)
    return sum(p.numel() for p in model.requires_grad_(True).parameters())


def load_model(folder: Path) -> tuple[Any, Any]:
    """A model of transformers with float32 weights, and its tokenizer."""
    quiet_loading()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(f"Cannot load {str(folder)!r}: {reason(error)}") from error
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return model, tokenizer


def _batches(
    pairs: Sequence[tuple[str, str]], tokenizer: Any, seed: int, size: int
) -> Callable[[int], Mapping[str, Tensor]]:
    """The batch of a step, from a shuffle by seed and epoch."""

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def batch(step: int) -> dict[str, Tensor]:
        epoch, index = divmod(step, len(pairs) // size)
        generator = torch.Generator().manual_seed(10_000 * seed + epoch)
        order = torch.randperm(len(pairs), generator=generator).tolist()
        rows = [pairs[i] for i in order[index * size : (index + 1) * size]]
        ids = [(encode(f"{mr}\n"), [*encode(text), tokenizer.eos_token_id]) for mr, text in rows]
        return make_batch(ids, tokenizer.pad_token_id)

    return batch


@torch.inference_mode()
def write_texts(model: Any, tokenizer: Any, prompts: Sequence[str]) -> list[str]:
    """The most probable text after each prompt; those of similar length share a batch."""
    tokenizer.padding_side = "left"
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    texts = [""] * len(prompts)
    for start in range(0, len(order), _TEST_BATCH):
        rows = order[start : start + _TEST_BATCH]
        batch = [prompts[i] for i in rows]
        inputs = tokenizer(batch, add_special_tokens=False, padding=True, return_tensors="pt")
        output = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=False,
            max_new_tokens=96,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        generated = output[:, inputs["input_ids"].shape[1] :]
        decoded = tokenizer.batch_decode(generated, skip_special_tokens=True)
        for i, text in zip(rows, decoded, strict=True):
            texts[i] = " ".join(text.split())
    return texts
