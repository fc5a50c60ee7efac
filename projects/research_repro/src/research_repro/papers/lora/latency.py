"""Table 1 and Figure 5: the latency of a forward pass, merged, unmerged, and with adapters.

    rows = measure_latency(TinyGPT(200, 128, 4, 4), batches=(1, 16), lengths=(1, 64), rounds=30)
    rows[0]     # {"batch": 1, "tokens": 1, "base_ms": 0.6, "merged": 1.0, "adapter": 1.4, …}

CPU time of one thread: equals latency on an idle machine. Under load, wall-clock time was up to
97 % longer.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from research_repro.papers.lora.baselines import prepare
from research_repro.papers.lora.method import lora_layers, merge

_WARM_UP = 3


def measure_latency(
    model: nn.Module, batches: Sequence[int], lengths: Sequence[int], rounds: int
) -> list[dict[str, Any]]:
    """For each batch size and length: the base model's milliseconds, and ratios to it.

    The variants take turns in each round, so that all see the same state of the machine; a ratio is
    the median of those of the rounds. Random weights are as fast as trained ones.
    """
    variants = _variants(model)
    rows = []
    for batch in batches:
        for length in lengths:
            ids = torch.randint(4, 100, (batch, length), generator=torch.Generator().manual_seed(0))
            times = _time_rounds(variants, ids, rounds)
            ratios = {
                name: statistics.median(
                    t / b for t, b in zip(times[name], times["base"], strict=True)
                )
                for name in variants
                if name != "base"
            }
            base = 1000 * statistics.median(times["base"])
            rows.append({"batch": batch, "tokens": length, "base_ms": base, **ratios})
    return rows


def _variants(model: nn.Module) -> dict[str, nn.Module]:
    lora = {"targets": ["query", "key", "value", "output", "up", "down"], "rank": 4, "alpha": 8.0}
    methods: dict[str, tuple[str, dict[str, Any]]] = {
        "base": ("full", {}),
        "merged": ("lora", lora),
        "unmerged": ("lora", lora),
        "adapter": ("adapter", {"width": 8}),
    }
    variants = {}
    for name, (method, options) in methods.items():
        variants[name] = copy.deepcopy(model)
        prepare(variants[name], method, options)
        for layer in lora_layers(variants[name]).values():
            nn.init.normal_(layer.B, std=0.01)
        variants[name].eval()
    merge(variants["merged"])
    return variants


@torch.inference_mode()
def _time_rounds(
    variants: dict[str, nn.Module], ids: Tensor, rounds: int
) -> dict[str, list[float]]:
    """Processor seconds of each variant in each round; the order rotates."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    names = list(variants)
    for number in range(rounds + _WARM_UP):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = time.thread_time()
            variants[name](ids)
            if number >= _WARM_UP:
                times[name].append(time.thread_time() - started)
    return times
