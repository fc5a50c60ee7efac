"""The arguments of a training, from which the options of `finetune-lora train` are generated.

A field is one option; its docstring is the option's help. To add an argument, add a field here.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from itertools import pairwise
from typing import Annotated, Any, TypeVar, get_type_hints

from finetune_lora.train import processes
from seedbed.cli import command_line
from seedbed.errors import ConfigError

_Command = TypeVar("_Command", bound=Callable[..., Any])
_LEAST = {
    "batch_size": 1,
    "accumulation": 1,
    "r": 1,
    "max_tokens": 8,
    "micro_tokens": 8,
    "save_every": 1,
    "epochs": 0,
    "layers": 0,
}


@dataclass(frozen=True)
class TrainArgs:
    """The arguments of a training. A dataset is a file, or hf:ORG/NAME@REV of the hub."""

    data: str
    """Training dataset: a file or hf:ORG/NAME@REV."""
    output: str
    """Run folder for the adapter, checkpoints and logs."""
    eval_data: str | None = None
    """Dataset evaluated during training."""
    columns: str = ""
    """Names of the columns, if they differ: text=description,label=section."""
    base: str = "smollm2"
    """Base model: smollm2, path:DIR or hf:ORG/REPO@REV."""
    max_minutes: float = 10.0
    """Maximum training time in minutes; the learning rate schedule is fitted to it."""
    epochs: float = 0.0
    """Passes over the training data. 0 chooses a number that suits the amount of data."""
    max_steps: int = 0
    """Number of optimizer steps; overrides --epochs unless 0."""
    lr: float | None = None
    """Peak learning rate. Default: depends on the size of the base model."""
    warmup: float = 0.06
    """Share of the steps during which the learning rate rises; after them it falls to 0."""
    weight_decay: float = 0.0
    """Weight decay of AdamW. Rarely useful for short LoRA trainings."""
    r: int = 16
    """LoRA rank. Raise it for harder tasks; memory and time per step grow with it."""
    alpha: int = 32
    """LoRA scaling numerator; updates are scaled by alpha / r."""
    dropout: float = 0.0
    """Dropout on the adapter's input (0 to 1)."""
    method: str = "lora"
    """lora, dora, rslora or qlora. qlora, a base model in 4 bits, requires a CUDA GPU."""
    targets: str = "all-linear"
    """Layers to adapt: all-linear, or comma-separated names of linear layers."""
    layers: int | None = None
    """Number of last layers to adapt; 0 for all. Default: half of them on a CPU, else all."""
    batch_size: int = 16
    """Examples per batch and process."""
    accumulation: int = 1
    """Number of batches accumulated before each optimizer step."""
    max_tokens: int = 1024
    """Token limit per row. A longer row is an error unless --truncate is set."""
    micro_tokens: int = 1280
    """Tokens per forward pass, which bounds memory: 0.6 MB per token for SmolLM2-135M."""
    truncate: bool = False
    """Truncate rows longer than --max-tokens."""
    dtype: str = "auto"
    """Weight type of the base model: auto, float32 or bfloat16."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, slower training."""
    share_prefix: bool = True
    """Compute a prompt prefix shared by the examples of a batch once. Exact, and faster."""
    eval_every: int = 0
    """Steps between evaluations. 0 evaluates 5 times per training."""
    save_every: int = 50
    """Steps between checkpoints."""
    seed: int = 0
    """Random seed of the adapter's weights, the order of examples and dropout."""
    resume: bool = False
    """Resume from the last checkpoint in --output."""

    def __post_init__(self) -> None:
        from finetune_lora.model.adapter import AdapterOptions

        for name, least in _LEAST.items():
            if (getattr(self, name) or 0) < least:
                raise ConfigError(
                    f"Invalid --{name.replace('_', '-')}: {getattr(self, name)}.",
                    hint=f"Use {least} or more.",
                )
        if not 0 <= self.dropout < 1:
            raise ConfigError(
                f"Invalid --dropout: {self.dropout}.", hint="Use a share from 0 to 1, e.g. 0.1."
            )
        if self.max_minutes <= 0 or (self.lr is not None and self.lr <= 0):
            raise ConfigError(
                "--max-minutes and --lr must be greater than 0.", hint="Example: 10 and 1e-3."
            )
        AdapterOptions(self.method)  # raises for an unknown method
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise ConfigError(
                f"Unknown --dtype {self.dtype!r}.", hint="Available: auto, float32, bfloat16."
            )

    @property
    def global_batch(self) -> int:
        """Examples of one step, in all processes."""
        return self.batch_size * self.accumulation * processes.count()


def field_docs(arguments: type) -> dict[str, str]:
    """The docstring below each field of a class.

    >>> field_docs(TrainArgs)["save_every"]
    'Steps between checkpoints.'
    """
    (definition,) = ast.parse(inspect.getsource(arguments)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(doc.value.value)
        for field, doc in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(doc, ast.Expr)
        and isinstance(doc.value, ast.Constant)
        and isinstance(doc.value.value, str)
    }


def options_of(arguments: type) -> Callable[[_Command], _Command]:
    """A decorator that gives a Typer command an option for each field of a dataclass.

    The command takes the values as keyword arguments. A parameter that it declares itself replaces
    the option of that name.
    """
    import typer

    def decorate(command: _Command) -> _Command:
        own = dict(inspect.signature(command, eval_str=True).parameters)
        own = {name: p for name, p in own.items() if p.kind is not p.VAR_KEYWORD}
        docs, hints = field_docs(arguments), get_type_hints(arguments)
        parameters = {}
        for field in fields(arguments):
            flag = f"--{field.name.replace('_', '-')}"
            # A flag that is off by default needs no --no-… twin.
            names = () if field.default is True else (flag,)
            parameters[field.name] = inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if field.default is MISSING else field.default,
                annotation=Annotated[
                    hints[field.name], typer.Option(*names, help=docs[field.name])
                ],
            )
        parameters |= own
        command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
        command.__annotations__ = {name: p.annotation for name, p in parameters.items()}
        return command

    return decorate


def resume_command(run: Mapping[str, Any]) -> str:
    """The command that resumes a run: its arguments, except those with their default value."""
    recorded = run.get("args")
    args = dict(recorded) if isinstance(recorded, Mapping) else {}
    words = ["train", "--data", str(args.pop("data", "TRAIN"))]
    words += ["--output", str(args.pop("output", run.get("folder", "DIR")))]
    for field in fields(TrainArgs):
        value = args.get(field.name)
        if field.name == "resume" or value is None or value == field.default:
            continue
        option = field.name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", str(value)]
    return command_line("finetune-lora", *words, "--resume")
