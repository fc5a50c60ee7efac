"""LoRA adapters: attached to a base, saved beside what they were trained for, loaded again.

DIR/adapter_config.json, adapter_model.safetensors     as PEFT writes them
DIR/tokenizer.json …                                   the base's tokenizer
DIR/task.json                                          what it learned, and on which base
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from finetune_lora.model import checkpoints
from finetune_lora.model.base import Base, load_base
from seedbed.errors import BadInput, ConfigError, NotFound
from seedbed.files import disk_errors, read_json, sync, sync_folder
from seedbed.safety.secrets import reason

CONFIG_FILE = "adapter_config.json"
TASK_FILE = "task.json"


def attach(
    base: Base,
    *,
    method: str = "lora",
    r: int = 16,
    alpha: int = 32,
    dropout: float = 0.0,
    targets: str = "all-linear",
    layers: int = 0,
) -> Any:
    """The base as a PeftModel with a fresh adapter, whose weights are float32.

    LoRA (Hu et al., 2021, https://arxiv.org/abs/2106.09685) and its variants: `dora` learns a
    magnitude beside the direction (https://arxiv.org/abs/2402.09353), `rslora` scales by
    alpha/sqrt(r) (https://arxiv.org/abs/2312.03732), `qlora` is for a base in 4 bits
    (https://arxiv.org/abs/2305.14314; CUDA only). `targets` is all-linear or names of linear
    layers, separated by commas; `layers` is how many of the last blocks get an adapter (0: all).
    """
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    model = base.model
    if method == "qlora":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    names: Any = targets if targets == "all-linear" else targets.split(",")
    if layers and targets == "all-linear":
        names = _linear(model)  # PEFT picks layers by name only
    depth = model.config.get_text_config().num_hidden_layers
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=names,
        layers_to_transform=list(range(depth))[-layers:] if layers else None,
        use_dora=method == "dora",
        use_rslora=method == "rslora",
        task_type="CAUSAL_LM",
    )
    try:
        return without_casts(get_peft_model(model, config))
    except ValueError as error:
        raise ConfigError(
            f"Cannot attach an adapter to {base.spec!r} with targets {targets!r}: {reason(error)}",
            hint="Use --targets all-linear, or the names of linear layers of the model.",
        ) from error


def _linear(model: Any) -> list[str]:
    """The names of the linear layers within the blocks."""
    from torch.nn import Linear

    head = model.get_output_embeddings()
    names = (name for name, m in model.named_modules() if isinstance(m, Linear) and m is not head)
    return sorted({name.rpartition(".")[2] for name in names})


def without_casts(model: Any) -> Any:
    """Turn off PEFT's cast of each layer's input, a copy: autocast chooses the type anyway.

    Measured on two cores: a fifth of a training step.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            layer: Any = module  # PEFT reads this attribute with getattr and declares it nowhere
            layer.cast_input_dtype_enabled = False
    return model


def save_adapter(model: Any, tokenizer: Any, folder: Path, task: dict[str, Any]) -> None:
    """Write an adapter into `folder`; `task` names its `base`.

    `adapter_config.json` comes last: an adapter that has it is complete.
    """
    with disk_errors("The adapter", folder, hint=checkpoints.RESUME_HINT):
        scratch = folder / ".adapter.tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        model.save_pretrained(scratch)
        (scratch / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
        tokenizer.save_pretrained(scratch)
        # PEFT records the base as a folder of this machine, which must not be published.
        config = json.loads((scratch / CONFIG_FILE).read_text("utf-8"))
        config["base_model_name_or_path"] = task["base"].removeprefix("hf:")
        for name, content in ((CONFIG_FILE, config), (TASK_FILE, task)):
            text = json.dumps(content, ensure_ascii=False, indent=2) + "\n"
            (scratch / name).write_text(text, "utf-8")
        sync_folder(scratch)
        for path in sorted(scratch.iterdir(), key=lambda p: p.name == CONFIG_FILE):
            path.replace(folder / path.name)
        sync(folder)
        scratch.rmdir()


def read_task(folder: Path) -> dict[str, Any]:
    """What an adapter learned, as `task_beside`; NotFound for a folder without an adapter."""
    if not (folder / CONFIG_FILE).exists():
        there = ", ".join(sorted(p.name for p in folder.glob("*"))[:8]) or "nothing"
        raise NotFound(
            f"No adapter found in {folder} (it contains: {there}).",
            hint="Use the --output folder of `train`. Continue an unfinished run with --resume.",
        )
    return task_beside(folder)


def task_beside(folder: Path) -> dict[str, Any]:
    """The `task.json` of an adapter or of what was exported from one; {} for a folder without it.

    In the folder of a run, `base` and `data` have the paths of this machine, which task.json does
    not contain, as it is published with the adapter.
    """
    file = folder / TASK_FILE
    task = read_json(file) if file.exists() else {}
    job = checkpoints.read_job(folder) if task else {}
    return {**task, **{name: job[name] for name in ("base", "data") if name in job}}


def load_adapter(folder: Path, *, base: str | None = None, dtype: str = "auto") -> Base:
    """A base with its adapter, ready to answer; `base` replaces the one named by the adapter.

    Raises NotFound without an adapter, BadInput where it was made for other weights.
    """
    task = read_task(folder)
    config = read_json(folder / CONFIG_FILE)
    spec = base or task.get("base") or f"hf:{config.get('base_model_name_or_path')}"
    loaded = load_base(spec, dtype=dtype)
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
    """Raise ValueError unless the adapter and the base have the same adapted layers.

    PEFT silently ignores weights without a layer and layers without weights.
    """
    from peft import get_peft_model_state_dict
    from safetensors import safe_open

    with safe_open(folder / "adapter_model.safetensors", "pt") as file:
        differ = set(file.keys()) ^ set(get_peft_model_state_dict(model))
    if wrong := sorted(name for name in differ if ".lora_" in name):
        raise ValueError(f"only one of the two has {wrong[0]}.")
