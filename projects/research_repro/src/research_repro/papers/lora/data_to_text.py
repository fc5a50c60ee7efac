"""Fine-tunes a pre-trained language model on data-to-text with one method, and scores its texts.

    recipe = Recipe("smollm2", "lora", {"targets": ["q_proj"], "rank": 4, "alpha": 8}, 2e-3, 100)
    run(Cell("lora", 0, asdict(recipe)), workspace)
    # {"bleu": 54.1, "slots": 96.0, "trained_parameters": 230400, "seconds_per_step": 0.96, …}

The cells are in `smollm2` (laptop) and `gpt2` (paper). The loss is on the reference's tokens only.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from research_repro.paper import Cell, Result
from research_repro.papers.lora.baselines import prepare
from research_repro.papers.lora.e2e import HUB, load_data
from research_repro.papers.lora.method import merge, train
from research_repro.papers.lora.metrics import scores
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput, WeightsError
from seedbed.models.weights.hf_folder import hf_folder, resolve_dtype
from seedbed.runs.quiet import quiet_loading
from seedbed.safety.secrets import reason

_IGNORED = -100  # label of a token without loss, for `train`
_SEEDED = ("lora", "adapter", "prefix")  # methods with random initial weights


@dataclass(frozen=True)
class Recipe:
    """The settings of a cell, as JSON values."""

    model: str
    """Name in the catalogue, hf:ORG/REPO@REVISION, or path:DIR."""
    method: str
    """full, lora, bitfit, adapter or prefix."""
    options: dict[str, Any]
    """Of the method; see `baselines`."""
    learning_rate: float
    steps: int = 0
    """Optimizer steps; 0 for `epochs`."""
    epochs: int = 1
    batch: int = 8
    group: int = 1
    """Batches whose examples are sorted by length before they are batched, to save padding."""
    weight_decay: float = 0.01
    warmup: int = 0
    label_smoothing: float = 0.0
    dtype: str = "auto"
    """Of matrix products: auto is bfloat16 if the processor is faster with it, else float32."""
    requires_e2e: bool = False
    """Whether generated records are refused as its data."""
    test_records: int = 630
    """Number of test records, drawn from the test set at random but equal for all cells."""
    test_batch: int = 64
    no_repeat_ngram: int = 0
    """No n-gram of this length occurs twice in a text; 0 for no limit."""
    generation: dict[str, Any] = field(default_factory=dict)
    """Arguments of transformers' `generate`; the default is greedy."""


def run(cell: Cell, workspace: Workspace) -> Result:
    """Train, generate and score with the Recipe in the cell's settings.

    Raises BadInput for data that cannot be read, WeightsError for a model that cannot be loaded.
    """
    recipe = Recipe(**cell.settings)
    bf16 = resolve_dtype(recipe.dtype) == "bfloat16"
    _reset_peak_memory()
    if recipe.requires_e2e and workspace.data is None:
        hint = f"Set RESEARCH_DATA to its folder or to hf:{HUB}."
        raise BadInput(f"The cell {cell.name} needs the E2E data set.", hint=hint)
    # 1. Load the data and the model, and prepare the model for the method.
    data = load_data(workspace.data)
    model, tokenizer = _load(recipe.model)
    parameters = model.num_parameters()
    seed = {"seed": cell.seed} if recipe.method in _SEEDED else {}
    trained = prepare(model, recipe.method, {**recipe.options, **seed})
    # 2. Train on all pairs of a meaning representation and one of its references.
    pairs = [(record.mr, text) for record in data.train for text in record.references]
    size = min(recipe.batch, len(pairs))
    starts: list[float] = []
    losses = train(
        model,
        _batches(pairs, tokenizer, cell.seed, size, recipe.group, starts),
        workspace,
        cell,
        steps=recipe.steps or recipe.epochs * (len(pairs) // size),
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup=recipe.warmup,
        label_smoothing=recipe.label_smoothing,
        bf16=bf16,
    )
    memory = _peak_memory()
    # 3. Generate with merged weights: LoRA is then as fast as the base model.
    merge(model)
    if bf16:
        model.to(torch.bfloat16)  # all weights rounded, for every method: takes half the time
    started = time.monotonic()
    records = Random(0).sample(data.test, min(recipe.test_records, len(data.test)))
    texts = write_texts(model, tokenizer, [record.mr for record in records], recipe)
    steps = [after - before for before, after in itertools.pairwise(starts)]
    # 4. Score.
    return {
        **scores(texts, records),
        "loss": statistics.fmean(losses[-20:]),
        "trained_parameters": trained,
        "parameters": parameters,
        "seconds_per_step": statistics.median(steps) if steps else None,
        "generation_seconds": time.monotonic() - started,
        "peak_memory_mb": memory,
        "records": len(records),
        "texts": [[record.mr, text] for record, text in zip(records[:5], texts, strict=False)],
        "data_sha256": data.sha256,
    }


def _load(spec: str) -> tuple[Any, Any]:
    """A model with float32 weights, on the GPU if there is one, and its tokenizer."""
    folder = hf_folder(spec)
    quiet_loading()
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(f"Cannot load {spec!r}: {reason(error)}") from error
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def _batches(
    pairs: Sequence[tuple[str, str]],
    tokenizer: Any,
    seed: int,
    size: int,
    group: int,
    starts: list[float],
) -> Callable[[int], Mapping[str, Tensor]]:
    """The batch of a step, from a shuffle by seed and epoch; notes its start time in `starts`."""

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    def batch(step: int) -> dict[str, Tensor]:
        starts.append(time.monotonic())
        epoch, index = divmod(step, len(pairs) // size)
        generator = torch.Generator().manual_seed(10_000 * seed + epoch)
        order = torch.randperm(len(pairs), generator=generator).tolist()
        start = index // group * group * size
        rows = sorted(order[start : start + group * size], key=lambda i: len("".join(pairs[i])))
        places = list(range(0, len(rows) - size + 1, size))
        Random(f"{seed} {epoch} {start}").shuffle(places)
        place = places[index % group]
        ids, labels = [], []
        for mr, text in (pairs[i] for i in rows[place : place + size]):
            prompt, target = encode(_prompt(mr)), [*encode(text), tokenizer.eos_token_id]
            ids.append(torch.tensor(prompt + target))
            labels.append(torch.tensor([_IGNORED] * len(prompt) + target))
        return {
            "input_ids": pad_sequence(ids, True, tokenizer.pad_token_id),
            "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], True),
            "labels": pad_sequence(labels, True, _IGNORED),
        }

    return batch


def _prompt(mr: str) -> str:
    return f"{mr}\n"


@torch.inference_mode()
def write_texts(model: Any, tokenizer: Any, mrs: Sequence[str], recipe: Recipe) -> list[str]:
    """A text for each meaning representation; those of similar length share a batch."""
    tokenizer.padding_side = "left"
    order = sorted(range(len(mrs)), key=lambda i: len(mrs[i]))
    texts = [""] * len(mrs)
    for start in range(0, len(order), recipe.test_batch):
        rows = order[start : start + recipe.test_batch]
        prompts = [_prompt(mrs[i]) for i in rows]
        inputs = tokenizer(prompts, add_special_tokens=False, padding=True, return_tensors="pt")
        length = inputs["input_ids"].shape[1]
        output = model.generate(
            input_ids=inputs["input_ids"].to(model.device),
            attention_mask=inputs["attention_mask"].to(model.device),
            logits_processor=_no_repeat(recipe.no_repeat_ngram, length),
            **{"do_sample": False, "max_new_tokens": 96, **recipe.generation},
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        decoded = tokenizer.batch_decode(output[:, length:], skip_special_tokens=True)
        for i, text in zip(rows, decoded, strict=True):
            texts[i] = " ".join(text.split())
    return texts


def _no_repeat(ngram: int, start: int) -> list[Callable[[Tensor, Tensor], Tensor]]:
    """As in the original code, what the prompt contains may be repeated, such as a name."""
    from transformers import NoRepeatNGramLogitsProcessor

    if not ngram:
        return []
    processor = NoRepeatNGramLogitsProcessor(ngram)
    return [lambda ids, logits: processor(ids[:, start:], logits)]


def _reset_peak_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # not on macOS and Windows
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory() -> float | None:
    """Peak memory in MB of the GPU, or else of this process (Linux only)."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None
