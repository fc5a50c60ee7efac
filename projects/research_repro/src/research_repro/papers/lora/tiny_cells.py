"""The cells of the tiny Llama: its pre-trained bases, and what is measured on them.

    result = fine_tune(cell, workspace)      # {"bleu": 88.9, "slots": 99.1, …}

Two bases know more or less before LoRA adapts them: `strong` was trained on records in 36 syntaxes
(not E2E's, which is what both are fine-tuned to) with their texts, `weak` on the words of the texts
alone, in random order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from research_repro.paper import Cell, Result
from research_repro.papers.lora.equations import check_equations
from research_repro.papers.lora.method import (
    delta_weight,
    lora_state,
    make_batch,
    merge,
    train,
)
from research_repro.papers.lora.metrics import scores
from research_repro.papers.lora.records import Record, generate
from research_repro.papers.lora.smollm2 import load_model, prepare, write_texts
from research_repro.papers.lora.subspaces import amplification, similarity
from research_repro.papers.lora.tiny_llama import START, make_model, make_tokenizer
from research_repro.runs.workspace import Workspace

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
ALL_LINEAR = (*ATTENTION, "gate_proj", "up_proj", "down_proj")
_ITEMS = (
    *("{slot}: {value}", "{slot} = {value}", "{slot} ({value})", "({slot} {value})"),
    *("<{slot}> {value}", "{value} / {slot}", "{slot} - {value}", "{value} as {slot}"),
    "{{{slot} {value}}}",
)
_SYNTAXES = [(item, joint) for item in _ITEMS for joint in ("; ", " | ", ". ", " ")]
_Base = tuple[Any, Any]
"""A model of transformers and its tokenizer."""


def _in_any_syntax(record: Record, random: Random) -> str:
    item, joint = random.choice(_SYNTAXES)
    slots = random.sample(list(record.slots.items()), len(record.slots))
    return joint.join(item.format(slot=slot, value=value) for slot, value in slots)


def _batches(
    tokenizer: Any, records: Sequence[Record], kind: str, size: int, seed: int, grow: int
) -> Callable[[int], dict[str, Tensor]]:
    """Batches of a record and one of its texts: E2E's syntax ("target"), or a base's corpus.

    With `grow` steps, records with few slots come first, and all after 60 % of them. Curriculum:
    without it the model hardly learns to copy names.
    """
    records = sorted(records, key=lambda record: len(record.slots)) if grow else records

    def batch(step: int) -> dict[str, Tensor]:
        random = Random(f"{kind}-{seed}-{step}")
        rows = []
        share = min(1, 0.1 + 1.5 * step / grow) if grow else 1
        for record in random.sample(records[: max(size, int(share * len(records)))], size):
            prompts = {"target": record.mr, "strong": _in_any_syntax(record, random)}
            before = tokenizer(prompts.get(kind, "") + START)["input_ids"]
            words = tokenizer(random.choice(record.references))["input_ids"]
            if kind == "weak":
                random.shuffle(words)
            rows.append((before, [*words, tokenizer.eos_token_id]))
        return make_batch(rows, tokenizer.pad_token_id)

    return batch


def load_base(settings: Mapping[str, Any], workspace: Workspace) -> _Base:
    """A pre-trained base and its tokenizer; pre-training takes minutes, then it is cached."""

    def pre_train(folder: Path) -> None:
        records = generate(1000, settings["records"], "train")
        texts = [text for record in records for text in (record.mr, *record.references)]
        texts += [_in_any_syntax(records[0], Random(i)) for i in range(200)]
        tokenizer = make_tokenizer(texts)
        torch.manual_seed(0)
        model = make_model(len(tokenizer), settings["width"], settings["layers"])
        cell = Cell(f"base-{settings['kind']}", 0, settings)
        _train((model, tokenizer), records, workspace, cell)
        for part in (model, tokenizer):
            part.save_pretrained(folder)

    return load_model(workspace.artifact("tiny-llama", settings, pre_train))


def _train(base: _Base, records: Sequence[Record], workspace: Workspace, cell: Cell) -> None:
    """Train by the settings of the cell; those of a base have a kind."""
    settings, steps = cell.settings, cell.settings["steps"]
    kind, grow = (settings["kind"], steps) if "kind" in settings else ("target", 0)
    batches = _batches(base[1], records, kind, settings["batch"], cell.seed, grow)
    schedule = {"steps": steps, "learning_rate": settings["learning_rate"], "warmup": steps // 20}
    train(base[0], batches, workspace, cell, **schedule)


def _trained(cell: Cell, workspace: Workspace, **changes: Any) -> tuple[Any, Any, dict[str, int]]:
    """A base trained on E2E's syntax by the cell's method, with changes of its options."""
    settings = cell.settings
    model, tokenizer = load_base(settings["base"], workspace)
    parameters = model.num_parameters()
    options = {**settings["options"], **changes}
    trained = prepare(model, settings["method"], options, cell.seed)
    _train((model, tokenizer), generate(2000, settings["records"], "train"), workspace, cell)
    return model, tokenizer, {"trained_parameters": trained, "parameters": parameters}


def fine_tune(cell: Cell, workspace: Workspace) -> Result:
    """Train with one method; score the texts of the test records that the merged model writes."""
    model, tokenizer, sizes = _trained(cell, workspace)
    merge(model)
    records = generate(0, cell.settings["test_records"], "test")
    texts = write_texts(model, tokenizer, [record.mr + START for record in records])
    samples = [[record.mr, text] for record, text in zip(records[:3], texts, strict=False)]
    return {**sizes, **scores(texts, records), "texts": samples}


def compare_subspaces(cell: Cell, workspace: Workspace) -> Result:
    """Section 7, for W_q and W_v of each layer: r = 8 against r = 64, two seeds, ΔW against W."""
    base, _ = load_base(cell.settings["base"], workspace)
    weights = {name: parameter.detach() for name, parameter in base.named_parameters()}
    states, deltas = [], []
    # A seed for each, as equal initial values of A would overlap before any training.
    for index, rank in enumerate((8, 64, 64)):
        run = Cell(f"{cell.name}-r{rank}", 100 * cell.seed + index, cell.settings)
        model, *_ = _trained(run, workspace, rank=rank)
        states.append(lora_state(model))
        deltas.append(delta_weight(model))
    layers, tables = [], dict[str, dict[str, Any]]()
    for name in deltas[0]:
        W = weights[f"{name}.weight"]
        A8, A64, other = (state[f"{name}.A"] for state in states)
        noise = torch.randn(2, *A64.shape, generator=torch.Generator().manual_seed(cell.seed))
        seeds, random, ranks = similarity(A64, other), similarity(*noise), similarity(A8, A64)
        layers.append(
            {
                "layer": name,
                "chance": 8 / W.shape[1],
                "top": float(ranks[0, 7]),
                "seeds_8": float(seeds[7, 7]),
                "table7": amplification(W, deltas[0][name], rank=8),
            }
        )
        tables[name] = {"ranks": ranks.tolist(), "seeds": seeds[3::4, 3::4].tolist()}
        tables[name]["random"] = random[3::4, 3::4].tolist()
    last = list(tables)[-2:]  # W_q and W_v of the last layer, for the figures
    return {"layers": layers, "tables": {name: tables[name] for name in last}}


def check_method(cell: Cell, workspace: Workspace) -> Result:
    """LoRA's equations on all linear layers of the tiny Llama (see `equations`)."""
    del workspace
    torch.manual_seed(cell.seed)
    model = make_model(200, width=64, layers=2, bias=True)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)  # zeros would hide that they are left out
    return check_equations(model, torch.randint(4, 200, (4, 16)), ALL_LINEAR)
