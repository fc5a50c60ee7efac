"""LoRA: Low-Rank Adaptation of Large Language Models (Hu et al. 2021, arXiv 2106.09685).

    add_lora(model, ["q_proj", "v_proj"], rank=4, alpha=32)       # only A and B are trained
    train(model, batches, workspace, cell, steps=300, learning_rate=2e-3)
    torch.save(lora_state(model), "lora.pt")                      # the small checkpoint
    merge(model)                                                  # as fast as the base model

Works on models made of nn.Linear. Section and equation numbers are the paper's. The check against
the equations is in `equations`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from research_repro.paper import Cell
from research_repro.runs.workspace import Workspace
from seedbed.errors import BadInput


class LoRALinear(nn.Linear):
    """A linear layer with a frozen weight W0 and a trainable update of low rank (section 4.1).

    x (…, d_in) becomes h (…, d_out) = W0 x + (alpha / r) B A x, with A (r, d_in), B (d_out, r).
    W0 and the bias are those of `linear`, not copies.
    """

    def __init__(
        self, linear: nn.Linear, rank: int, alpha: float, dropout: float, generator: torch.Generator
    ) -> None:
        super().__init__(linear.in_features, linear.out_features, bias=False, device="meta")
        self.weight, self.bias = linear.weight, linear.bias
        self.scale = alpha / rank  # "We then scale ΔWx by α/r", to compare ranks at one rate (4.1)
        self.dropout, self.merged = nn.Dropout(dropout), False
        # "We use a random Gaussian initialization for A and zero for B" (4.1). The variance, which
        # the paper leaves open, makes the entries of A x as large as those of x.
        A = torch.randn(rank, self.in_features, generator=generator) / self.in_features**0.5
        self.A = nn.Parameter(A.to(linear.weight))
        self.B = nn.Parameter(linear.weight.new_zeros(self.out_features, rank))

    def delta(self) -> Tensor:
        """ΔW = (alpha / r) B A, of the shape of W0."""
        return self.scale * self.B @ self.A

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output h; merged, exactly what nn.Linear does."""
        h = F.linear(x, self.weight, self.bias)
        if self.merged:
            return h
        return h + F.linear(F.linear(self.dropout(x), self.A) * self.scale, self.B)  # eq. 3


def add_lora(
    model: nn.Module,
    targets: Sequence[str],
    rank: int,
    alpha: float,
    dropout: float = 0.0,
    seed: int = 0,
    layer: type[LoRALinear] = LoRALinear,
) -> int:
    """Freeze a model and adapt its linear layers; returns the number of trainable parameters.

    A target is the end of a layer's name: "q_proj", or "blocks.3.mlp.up".
    Raises BadInput for one that no layer matches.

    >>> add_lora(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)), ["2"], 1, 1.0)
    16
    """
    linears = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    hint = f"Available: {', '.join(sorted({name.rpartition('.')[2] for name in linears}))}."
    for target in targets:
        if not any(f".{name}".endswith(f".{target}") for name in linears):
            raise BadInput(f"No linear layer has a name that ends in {target!r}.", hint=hint)
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    for name, linear in linears.items():
        if f".{name}".endswith(tuple(f".{target}" for target in targets)):
            model.set_submodule(name, layer(linear, rank, alpha, dropout, generator))
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def lora_layers(model: nn.Module) -> dict[str, LoRALinear]:
    """The adapted layers by name."""
    return {name: m for name, m in model.named_modules() if isinstance(m, LoRALinear)}


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Store W = W0 + ΔW, so that inference has no additional latency (section 4.1)."""
    for layer in lora_layers(model).values():
        layer.weight += 0 if layer.merged else layer.delta()
        layer.merged = True


@torch.no_grad()
def unmerge(model: nn.Module) -> None:
    """Recover W0 by subtracting ΔW (section 4.1), up to rounding; another task's can be added."""
    for layer in lora_layers(model).values():
        layer.weight -= layer.delta() if layer.merged else 0
        layer.merged = False


def delta_weight(model: nn.Module) -> dict[str, Tensor]:
    """ΔW of each adapted layer by name, for section 7."""
    return {name: layer.delta().detach() for name, layer in lora_layers(model).items()}


def lora_state(model: nn.Module) -> dict[str, Tensor]:
    """The small checkpoint: copies of A and B, "layers.0.self_attn.q_proj.A" (section 4.2)."""
    names = [f"{name}.{part}" for name in lora_layers(model) for part in "AB"]
    return {name: model.get_parameter(name).detach().clone() for name in names}


def parameter_count(shapes: Iterable[Sequence[int]], rank: int) -> int:
    """Section 5.1: |Θ| = 2 × L_LoRA × d_model × r; d_in + d_out for 2 × d_model if not square.

    >>> parameter_count([(12288, 12288)] * 192, rank=1)     # GPT-3, W_q and W_v: 4.7 M in Table 4
    4718592
    """
    return sum((d_out + d_in) * rank for d_out, d_in in shapes)


def train(
    model: nn.Module,
    batches: Callable[[int], Mapping[str, Tensor]],
    workspace: Workspace,
    cell: Cell,
    *,
    steps: int,
    learning_rate: float,
    warmup: int = 0,
    bf16: bool = False,
) -> list[float]:
    """Train the parameters that require gradients; returns the loss of each step.

    For every method AdamW and a linear schedule (appendix D). `batches(step)`: input_ids,
    attention_mask and labels, (B, T) each, with -100 as the label outside the target. With `bf16`,
    products are computed in bfloat16; weights and the optimizer's state stay in float32.
    """
    torch.manual_seed(cell.seed)  # of dropout
    # Checkpoints hold the trained parameters only, and the losses before a kill.
    trained = nn.ParameterList(p for p in model.parameters() if p.requires_grad)
    trained.register_buffer("losses", losses := trained[0].new_zeros(steps))
    optimizer = AdamW(trained, lr=learning_rate, fused=True)
    fall = max(1, steps - warmup)
    schedule = LambdaLR(optimizer, lambda i: min((i + 1) / (warmup + 1), (steps - i) / fall))
    model.train()
    for step in workspace.steps(cell, steps, model=trained, optimizer=optimizer, schedule=schedule):
        batch = {name: tensor.to(losses.device) for name, tensor in batches(step).items()}
        with torch.autocast(losses.device.type, torch.bfloat16, enabled=bf16):
            loss = target_loss(model, batch)
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses[step] = loss.detach()
    model.eval()
    return list(losses.tolist())


def make_batch(rows: Sequence[tuple[list[int], list[int]]], pad_id: int) -> dict[str, Tensor]:
    """What `train` takes, from the token ids of prompts and their targets; (B, T) each."""
    ids = [torch.tensor(prompt + target) for prompt, target in rows]
    labels = [torch.tensor([-100] * len(prompt) + target) for prompt, target in rows]
    return {
        "input_ids": pad_sequence(ids, True, pad_id),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], True),
        "labels": pad_sequence(labels, True, -100),
    }


def target_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Mean negative log-likelihood of the target tokens; no other logits are computed."""
    labels = batch["labels"][:, 1:]
    target = labels != -100
    inputs = batch["input_ids"][:, :-1], batch["attention_mask"][:, :-1]
    hidden = model.base_model(inputs[0], attention_mask=inputs[1], use_cache=False)[0]
    logits = model.get_output_embeddings()(hidden[target])
    return F.cross_entropy(logits.float(), labels[target])  # eq. 2
