"""The arguments of a training, from which the options of `finetune-lora train` are generated.

A field is one option: its docstring is the option's help, and what follows its type in `Annotated`
goes to `typer.Option`. To add an argument, add a field here.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

from typer import Option

from finetune_lora.train import processes

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class TrainArgs:
    """The arguments of a training. A dataset is a file, or hf:ORG/NAME@REV of the hub."""

    data: str = ""
    """Training dataset: a file or hf:ORG/NAME@REV. Required for a new run."""
    output: str = ""
    """Run folder for the adapter, checkpoints and logs."""
    eval_data: str | None = None
    """Dataset evaluated during training."""
    columns: str = ""
    """Names of the columns, if they differ: text=description,label=section."""
    base: str = "smollm2"
    """Base model: smollm2, path:DIR or hf:ORG/REPO@REV."""
    max_minutes: Annotated[float, {"min": 0.01}] = 10.0
    """Maximum training time in minutes; the learning rate schedule is fitted to it."""
    epochs: Annotated[float, {"min": 0}] = 0.0
    """Passes over the training data. 0 chooses a number that suits the amount of data."""
    max_steps: Annotated[int, {"min": 0}] = 0
    """Number of optimizer steps; overrides --epochs unless 0."""
    lr: Annotated[float | None, {"min": 1e-9}] = None
    """Peak learning rate. Default: depends on the size of the base model."""
    warmup: Annotated[float, {"min": 0, "max": 1}] = 0.06
    """Share of the steps during which the learning rate rises; after them it falls to 0."""
    weight_decay: float = 0.0
    """Weight decay of AdamW. Rarely useful for short LoRA trainings."""
    r: Annotated[int, {"min": 1}] = 16
    """LoRA rank. Raise it for harder tasks; memory and time per step grow with it."""
    alpha: int = 32
    """LoRA scaling numerator; updates are scaled by alpha / r."""
    dropout: Annotated[float, {"min": 0, "max": 0.99}] = 0.0
    """Dropout on the adapter's input (0 to 1)."""
    method: Literal["lora", "dora", "rslora", "qlora"] = "lora"
    """Variant of LoRA. qlora, a base model in 4 bits, requires a CUDA GPU."""
    targets: str = "all-linear"
    """Layers to adapt: all-linear, or comma-separated names of linear layers."""
    layers: Annotated[int | None, {"min": 0}] = None
    """Number of last layers to adapt; 0 for all. Default: half of them on a CPU, else all."""
    batch_size: Annotated[int, {"min": 1}] = 16
    """Examples per batch and process."""
    accumulation: Annotated[int, {"min": 1}] = 1
    """Number of batches accumulated before each optimizer step."""
    max_tokens: Annotated[int, {"min": 8}] = 1024
    """Token limit per row. A longer row is an error unless --truncate is set."""
    micro_tokens: Annotated[int, {"min": 8}] = 1280
    """Tokens per forward pass, which bounds memory: 0.6 MB per token for SmolLM2-135M."""
    truncate: bool = False
    """Truncate rows longer than --max-tokens."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Weight type of the base model."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, slower training."""
    share_prefix: bool = True
    """Compute a prompt prefix shared by the examples of a batch once. Exact, and faster."""
    eval_every: Annotated[int, {"min": 0}] = 0
    """Steps between evaluations. 0 evaluates 5 times per training."""
    save_every: Annotated[int, {"min": 1}] = 50
    """Steps between checkpoints."""
    seed: int = 0
    """Random seed of the adapter's weights, the order of examples and dropout."""
    resume: bool = False
    """Continue the run in --output, if there is one, with the options it was started with."""

    @property
    def global_batch(self) -> int:
        """Examples of one step, in all processes."""
        return self.batch_size * self.accumulation * processes.count()


def field_docs() -> dict[str, str]:
    """The docstring below each field of TrainArgs.

    >>> field_docs()["save_every"]
    'Steps between checkpoints.'
    """
    (definition,) = ast.parse(inspect.getsource(TrainArgs)).body
    assert isinstance(definition, ast.ClassDef)
    docs = {}
    for field, doc in pairwise(definition.body):
        match field, doc:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                docs[name] = inspect.cleandoc(text)
    return docs


def train_options(command: _Command) -> _Command:
    """Give a Typer command an option for each field of TrainArgs, passed as keyword arguments.

    A parameter that the command declares itself replaces the option of that name.
    """
    docs, types = field_docs(), get_type_hints(TrainArgs)
    hints = get_type_hints(TrainArgs, include_extras=True)
    parameters = {}
    for field in fields(TrainArgs):
        # A flag that is off by default needs no --no-… twin.
        flag = () if field.default is True else (f"--{field.name.replace('_', '-')}",)
        constraints: dict[str, Any] = getattr(hints[field.name], "__metadata__", ({},))[0]
        option = Option(*flag, help=docs[field.name], **constraints)
        parameters[field.name] = inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[types[field.name], option],
        )
    own = inspect.signature(command, eval_str=True).parameters
    parameters |= {name: p for name, p in own.items() if p.kind is not p.VAR_KEYWORD}
    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    command.__annotations__ = {name: p.annotation for name, p in parameters.items()}
    return command
