# %% [markdown]
# # nano_research: one claim of a paper, measured, in one file
#
#     python projects/research_repro/nano.py            # half a minute; exits with 1 if it fails
#
# "LoRA: Low-Rank Adaptation of Large Language Models" (Hu et al. 2021, arXiv 2106.09685) rests on
# a hypothesis: the change that a new task requires of a weight matrix has a low rank. If so, an
# update of that rank should learn the task from fewer examples than fine-tuning the whole matrix,
# as it has fewer numbers to get wrong. Here is a matrix small enough to test that in seconds.
#
# To reproduce a result means to write down beforehand what is measured and what counts as a
# success, to repeat it with several seeds, and to report the interval whichever way it went.
# Nothing here needs a language model, so `SEEDBED_MODEL` makes no difference.
#
# The lines that start with `# %%` are cells: VS Code and PyCharm run them one by one, and
# `jupytext --to ipynb --execute` makes a notebook with the picture of this file.

# %%
from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional as F

DATA = Path(os.environ.get("NANO_DATA", "var/nano_research"))

# %% [markdown]
# ## The claim
#
# It was written before the first run. Change it afterwards, and it is not a test any more. The
# measure is the share of the required change that training missed, 0 to 1 and more; the claim is
# about its difference between the two methods, seed by seed, since both see the same matrices and
# examples.

# %%
CLAIM = "With 128 examples, a rank-4 update misses less of a rank-4 change than fine-tuning."
SOURCE = "Section 4.1: the change in weights has a low intrinsic rank"


def holds(low: float, high: float) -> bool:
    """The claim holds if the whole 95 % interval is below 0, not only the mean."""
    return low <= high < 0


# %% [markdown]
# ## The method
#
# Equation 3 of the paper, with the factor that section 4.1 describes below it:
#
# $$h = W_0 x + \frac{\alpha}{r} B A x$$
#
# $W_0$ is frozen. $B$ starts as zero, so that training starts at the model as it was; if $A$ were
# zero as well, neither would get a gradient.


# %%
class LoRALinear(nn.Linear):
    """A linear layer with a frozen weight and a trainable update of rank `rank`."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, seed: int = 0) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=False)
        self.weight, self.bias = linear.weight, linear.bias
        self.weight.requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        A = torch.randn(rank, self.in_features, generator=generator) / self.in_features**0.5
        self.A = nn.Parameter(A)
        self.B = nn.Parameter(torch.zeros(self.out_features, rank))
        self.scale = alpha / rank

    def delta(self) -> Tensor:
        """The update as a matrix. Add it to the weight, and inference costs nothing extra."""
        return self.scale * self.B @ self.A

    def forward(self, x: Tensor) -> Tensor:
        # Two thin products instead of one with B A: less memory, and less work for a small rank.
        return F.linear(x, self.weight, self.bias) + self.scale * (x @ self.A.T) @ self.B.T


# %% [markdown]
# ## The experiment
#
# A "pretrained" matrix, a task whose right answer differs from it by a matrix of rank 4, and a
# few noisy examples of the task. Both methods are trained in the same way, until they no longer
# improve.

# %%
SIZE, TRUE_RANK = 64, 4
EXAMPLES, NOISE = 128, 0.5  # twice as many as inputs; the noise is what one can fit by mistake
STEPS, RATE = 400, 0.02
RANKS = (1, 2, 4, 8, 16)
SEEDS = tuple(range(10))


@dataclass(frozen=True)
class Task:
    base: Tensor  # W0
    change: Tensor  # what has to be learnt
    x: Tensor
    y: Tensor


def make_task(seed: int) -> Task:
    g = torch.Generator().manual_seed(1000 + seed)
    base = torch.randn(SIZE, SIZE, generator=g) / SIZE**0.5
    left = torch.randn(SIZE, TRUE_RANK, generator=g)
    change = left @ torch.randn(TRUE_RANK, SIZE, generator=g) / SIZE
    x = torch.randn(EXAMPLES, SIZE, generator=g)
    y = x @ (base + change).T + NOISE * torch.randn(EXAMPLES, SIZE, generator=g)
    return Task(base, change, x, y)


def missed(task: Task, rank: int | None, seed: int) -> float:
    """The share of the change that is missed after training; rank None fine-tunes the matrix."""
    layer = nn.Linear(SIZE, SIZE, bias=False)
    layer.weight = nn.Parameter(task.base.clone())
    if rank is not None:
        layer = LoRALinear(layer, rank, alpha=float(rank), seed=seed)
    parameters = [p for p in layer.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, STEPS)
    for _ in range(STEPS):
        optimizer.zero_grad()
        F.mse_loss(layer(task.x), task.y).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        delta = layer.weight - task.base
        if isinstance(layer, LoRALinear):
            delta = delta + layer.delta()
        return float((delta - task.change).norm() ** 2 / task.change.norm() ** 2)


def measure() -> dict[str, list[float]]:
    """Every method over every seed; the lists have the seeds in the same order."""
    torch.set_num_threads(1)  # the matrices are small, and the sums are the same everywhere
    methods: dict[str, int | None] = {f"rank {rank}": rank for rank in RANKS}
    methods["fine-tuning"] = None
    tasks = [make_task(seed) for seed in SEEDS]
    return {
        name: [missed(task, rank, seed) for seed, task in zip(SEEDS, tasks, strict=True)]
        for name, rank in methods.items()
    }


# %% [markdown]
# ## The verdict
#
# Student's t gives the interval of a mean of few values. It describes the seeds: what other draws
# of the same experiment would give. It says nothing about other sizes, or about language models.


# %%
def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean, and the ends of its 95 % confidence interval."""
    mean = sum(values) / len(values)
    low, high = stats.t.interval(0.95, len(values) - 1, mean, stats.sem(values))
    return mean, float(low), float(high)


def difference(results: dict[str, list[float]]) -> list[float]:
    """What the claim is about: a negative value means that the update of low rank is better."""
    pairs = zip(results[f"rank {TRUE_RANK}"], results["fine-tuning"], strict=True)
    return [low_rank - full for low_rank, full in pairs]


def draw(results: dict[str, list[float]]) -> Any:
    """What each method misses, with intervals. A rank too small misses what it cannot express."""
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for place, values in enumerate(results.values()):
        mean, low, high = interval(values)
        axes.errorbar(place, mean, [[mean - low], [high - mean]], fmt="o", color="C0", capsize=4)
    axes.set_xticks(range(len(results)), list(results))
    axes.set_ylabel("share of the change that is missed")
    axes.set_ylim(bottom=0)
    axes.set_title(f"A change of rank {TRUE_RANK}, learnt from {EXAMPLES} examples")
    return figure


# %% [markdown]
# ## The record
#
# What was run, with which constants, and what came out. A result that cannot be found again has
# not been reproduced.


# %%
def record(results: dict[str, list[float]], figure: Any, held: bool) -> None:
    DATA.mkdir(parents=True, exist_ok=True)
    figure.savefig(DATA / "missed.png")
    constants = {"size": SIZE, "examples": EXAMPLES, "noise": NOISE, "steps": STEPS}
    run = {"claim": CLAIM, "holds": held, "seeds": SEEDS, **constants, "missed": results}
    (DATA / "result.json").write_text(json.dumps(run, indent=1), "utf-8")


# %%
def main() -> int:
    """Measure, judge, draw and record; returns 0 if the claim holds."""
    results = measure()
    for name, values in results.items():
        mean, low, high = interval(values)
        print(f"{name:12} misses {mean:.3f} ({low:.3f} to {high:.3f})")
    mean, low, high = interval(difference(results))
    held = holds(low, high)
    print(f"\n{CLAIM}\n{SOURCE}")
    print(f"difference {mean:.3f} ({low:.3f} to {high:.3f}): {'holds' if held else 'FAILS'}")
    record(results, draw(results), held)
    return 0 if held else 1


if __name__ == "__main__":
    status = main()
    if "ipykernel" not in sys.modules:  # in a notebook the figure is the last cell's result
        raise SystemExit(status)
    plt.show()
