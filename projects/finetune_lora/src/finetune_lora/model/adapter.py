"""LoRA adapters: attached to a base, saved beside what they were trained for, loaded again.

DIR/adapter_config.json, adapter_model.safetensors     as PEFT writes them
DIR/tokenizer.json …                                   the base's tokenizer
DIR/task.json                                          what it learned, and on which base
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from finetune_lora.model.base import Base, load_base
from finetune_lora.model.checkpoints import RESUME_HINT
from seedbed.errors import BadInput, ConfigError, NotFound
from seedbed.files import disk_errors, sync, sync_folder
from seedbed.safety.secrets import reason
from seedbed.settings import Settings

METHODS = ("lora", "dora", "rslora", "qlora")
CONFIG_FILE = "adapter_config.json"
TASK_FILE = "task.json"


@dataclass(frozen=True)
class AdapterOptions:
    """LoRA (Hu et al., 2021, https://arxiv.org/abs/2106.09685) and its variants.

    `layers` counts from the output: the last ones are trained and the rest is left alone (0: all).
    `dora` learns a magnitude beside the direction (https://arxiv.org/abs/2402.09353), `rslora`
    scales by alpha/sqrt(r) (https://arxiv.org/abs/2312.03732), `qlora` keeps the base in 4 bits
    (https://arxiv.org/abs/2305.14314; CUDA only). `targets` is all-linear or a list of names with
    commas between.
    """

    method: str = "lora"
    r: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str = "all-linear"
    layers: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(
                f"Unknown method {self.method!r}.", hint=f"Available: {', '.join(METHODS)}."
            )


def attach(base: Base, options: AdapterOptions) -> Any:
    """The base as a PeftModel with a fresh adapter, whose weights are float32."""
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    model = base.model
    if options.method == "qlora":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    targets: Any = options.targets
    if options.layers and targets == "all-linear":
        targets = ",".join(_linear(model))  # PEFT picks layers by name only
    if targets != "all-linear":
        targets = targets.split(",")
    depth = model.config.get_text_config().num_hidden_layers
    config = LoraConfig(
        r=options.r,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=targets,
        layers_to_transform=list(range(depth))[-options.layers :] if options.layers else None,
        use_dora=options.method == "dora",
        use_rslora=options.method == "rslora",
        task_type="CAUSAL_LM",
    )
    try:
        return without_casts(get_peft_model(model, config))
    except ValueError as error:
        raise ConfigError(
            f"Cannot attach an adapter to {base.spec!r} with targets {options.targets!r}: "
            f"{reason(error)}",
            hint="Use --targets all-linear, or the names of linear layers of the model.",
        ) from error


def _linear(model: Any) -> list[str]:
    """The names of the linear layers within the blocks."""
    from torch.nn import Linear

    head = model.get_output_embeddings()
    names = (name for name, m in model.named_modules() if isinstance(m, Linear) and m is not head)
    return sorted({name.rpartition(".")[2] for name in names})


def without_casts(model: Any) -> Any:
    """Spare the copies that PEFT makes of each layer's input: autocast chooses the type anyway.

    Measured on two cores: a fifth of a training step.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            layer: Any = module  # PEFT reads this attribute with getattr and declares it nowhere
            layer.cast_input_dtype_enabled = False
    return model


def save_adapter(model: Any, tokenizer: Any, folder: Path, task: dict[str, Any]) -> None:
    """Write an adapter into `folder`. Its configuration comes last: one that is there is whole."""
    with disk_errors("The adapter", folder, hint=RESUME_HINT):
        scratch = folder / ".adapter.tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        model.save_pretrained(scratch)
        (scratch / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
        tokenizer.save_pretrained(scratch)
        about = json.dumps(task, ensure_ascii=False, indent=2) + "\n"
        (scratch / TASK_FILE).write_text(about, "utf-8")
        sync_folder(scratch)
        # Without this file there is no adapter, so it is the last to come.
        for path in sorted(scratch.iterdir(), key=lambda p: p.name == CONFIG_FILE):
            path.replace(folder / path.name)
        sync(folder)
        scratch.rmdir()


def read_task(folder: Path) -> dict[str, Any]:
    """What an adapter learned: `base`, `base_hash`, `labels`, `max_tokens` and more."""
    if not (folder / CONFIG_FILE).exists():
        there = ", ".join(sorted(p.name for p in folder.glob("*"))[:8]) or "nothing"
        raise NotFound(
            f"No adapter found in {folder} (it contains: {there}).",
            hint="Use the --output folder of `train`. Continue an unfinished run with --resume.",
        )
    return task_beside(folder)


def task_beside(folder: Path) -> dict[str, Any]:
    """The `task.json` of an adapter or of what was exported from one; {} for what has none."""
    file = folder / TASK_FILE
    if not file.exists():
        return {}
    try:
        task: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return task
    except ValueError as error:
        raise BadInput(f"{file} is corrupt: {error}.") from None


def load_adapter(
    folder: Path, *, base: str | None = None, dtype: str = "auto", settings: Settings | None = None
) -> Base:
    """A base with its adapter, ready to answer; `base` replaces the one named by the adapter.

    Raises NotFound without an adapter, BadInput where it was made for other weights.
    """
    task = read_task(folder)
    try:
        config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    except ValueError as error:
        raise BadInput(f"{folder / CONFIG_FILE} is corrupt: {error}.") from None
    spec = base or task.get("base") or f"hf:{config.get('base_model_name_or_path')}"
    loaded = load_base(spec, dtype=dtype, settings=settings)
    if task.get("base_hash") not in (None, loaded.hash):
        raise BadInput(
            f"The adapter in {folder} was trained on {task['base']!r} with weights "
            f"{task['base_hash']}, but {spec!r} has {loaded.hash}.",
            hint=f"Evaluate it with --base {task['base']}.",
        )
    from peft import PeftModel

    try:
        loaded.model = without_casts(PeftModel.from_pretrained(loaded.model, folder).eval())
        check_fits(loaded.model, folder)
    except (RuntimeError, ValueError, KeyError, TypeError, OSError, SafetensorError) as error:
        raise BadInput(
            f"The adapter in {folder} does not fit {spec!r}: {reason(error)}",
            hint="Pass the base model it was trained on with --base.",
        ) from error
    return loaded


def check_fits(model: Any, folder: Path) -> None:
    """Raise ValueError where the adapter was trained on other layers than the base has.

    PEFT silently ignores weights without a layer and layers without weights.
    """
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        differ = set(file.keys()) ^ set(get_peft_model_state_dict(model))
    if wrong := sorted(name for name in differ if ".lora_" in name):
        raise ValueError(f"only one of the two has {wrong[0]}.")
