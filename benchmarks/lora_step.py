"""A LoRA training step of research_repro beside PEFT's, on SmolLM2-135M: tokens a second, memory.

Both train the same layers with the same loss, optimizer and batches; only the LoRA layers differ
(a test of research_repro shows that both compute the same).
For speed, both models are in one process and take turns, so that a busy moment meets both; the
ratio is the median over turns. For memory, each trains in a process of its own.

    python benchmarks/lora_step.py [--json] [--turns 12] [--targets qv]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from research_repro.papers.lora.method import add_lora, target_loss
from seedbed.models.weights.hf_folder import hf_folder, resolve_dtype
from seedbed.runs.quiet import quiet_loading

RANK, ALPHA, BATCH, TOKENS, TARGET_TOKENS, WARM_UP = 4, 32, 8, 66, 33, 2
QV = ["q_proj", "v_proj"]
TARGETS = {
    "qv": QV,
    "all_linear": [*QV, "k_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
}
LIBRARIES = ("ours", "peft")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--memory", nargs=2, metavar=("LIBRARY", "TARGETS"))
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)  # also where OMP_NUM_THREADS says otherwise
    if options.memory:
        print(peak_megabytes(*options.memory))
        return
    result: dict[str, Any] = {"type": resolve_dtype("auto")}
    for targets in options.targets:
        result |= compare(targets, options.turns)
    print(json.dumps(result, indent=None if options.json else 2))


def compare(targets: str, turns: int) -> dict[str, Any]:
    """Speed and memory of both, and their ratios."""
    # Memory first: the processes then don't share the machine with two models.
    command = [sys.executable, __file__, "--memory"]
    memory = {
        library: float(subprocess.check_output([*command, library, targets]).split()[-1])
        for library in LIBRARIES
    }
    steps = {library: training_step(library, targets) for library in LIBRARIES}
    seconds: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    for turn in range(WARM_UP + turns):
        for library in LIBRARIES[:: -1 if turn % 2 else 1]:
            start = time.perf_counter()
            steps[library](turn)
            seconds[library].append(time.perf_counter() - start)
    measured = {library: values[WARM_UP:] for library, values in seconds.items()}
    ratios = [peft / ours for ours, peft in zip(measured["ours"], measured["peft"], strict=True)]
    return {
        f"ratio_{targets}": round(statistics.median(ratios), 3),
        f"memory_ratio_{targets}": round(memory["ours"] / memory["peft"], 3),
        targets: {
            **{
                f"{library}_tokens_per_second": round(BATCH * TOKENS / statistics.median(values), 1)
                for library, values in measured.items()
            },
            **{f"{library}_peak_mb": megabytes for library, megabytes in memory.items()},
        },
    }


def training_step(library: str, targets: str) -> Callable[[int], None]:
    """A function that trains one step, on random tokens that depend on its number."""
    from transformers import AutoModelForCausalLM

    quiet_loading()
    model = AutoModelForCausalLM.from_pretrained(hf_folder("smollm2"), dtype=torch.float32)
    if library == "ours":
        add_lora(model, TARGETS[targets], RANK, ALPHA)
    else:
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(0)
        config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS[targets])
        model = get_peft_model(model, config).get_base_model()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-3, fused=True)
    bf16 = resolve_dtype("auto") == "bfloat16"
    model.train()

    def step(number: int) -> None:
        generator = torch.Generator().manual_seed(number)
        ids = torch.randint(0, 49_152, (BATCH, TOKENS), generator=generator)
        labels = ids.clone()
        labels[:, :-TARGET_TOKENS] = -100
        batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = target_loss(model, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def peak_megabytes(library: str, targets: str) -> float:
    """Peak resident memory of this process, after a few steps."""
    step = training_step(library, targets)
    for number in range(WARM_UP + 1):
        step(number)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)


if __name__ == "__main__":
    main()
