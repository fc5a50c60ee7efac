"""A base model to train: from a model spec to weights and a tokenizer that transformers reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from seedbed.errors import BadInput, ConfigError, TooLarge, WeightsError
from seedbed.files import read_json
from seedbed.models.weights.hf_folder import fingerprint, hf_folder, resolve_dtype, weight_files
from seedbed.runs.training import quiet_loading, total_memory
from seedbed.safety.secrets import reason


@dataclass
class Base:
    """A causal language model (or its PeftModel) and its tokenizer.

    `hash` (16 hex digits) names the weights: an adapter fits the base with the same one.
    """

    model: Any
    tokenizer: Any
    spec: str
    folder: Path
    hash: str


def load_base(spec: str, *, dtype: str = "auto", quantize: bool = False) -> Base:
    """Load a base; `dtype` is auto, float32 or bfloat16, `quantize` 4-bit weights (needs CUDA).

    Raises BadInput where it has no chat template, TooLarge where it does not fit in memory.
    """
    if spec.startswith("path:"):  # absolute, as an adapter is also used from other folders
        spec = f"path:{Path(spec.removeprefix('path:')).expanduser().resolve()}"
    folder = hf_folder(spec)
    weight_type = resolve_dtype(dtype)
    tokenizer = load_tokenizer(folder, spec)
    width = 1 if quantize else (2 if weight_type == "bfloat16" else 4)
    check_memory(folder, spec, bytes_per_weight=width)
    quiet_loading()
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    options: dict[str, Any] = {"dtype": getattr(torch, weight_type), "attn_implementation": "sdpa"}
    if quantize:
        if not torch.cuda.is_available():
            hint = "Use --method lora on this machine."
            raise ConfigError("4-bit base weights (QLoRA) need a CUDA GPU.", hint=hint)
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, **options)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(f"Cannot load {spec!r}: {reason(error)}") from error
    return Base(model, tokenizer, spec, folder, fingerprint(folder))


def load_tokenizer(folder: Path, spec: str = "") -> Any:
    """The tokenizer of a folder; BadInput if it has no chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # tokenizers raises nothing more specific
        what = f"the tokenizer of {spec or folder}"
        raise WeightsError(f"Cannot load {what}: {reason(error)}") from error
    if not tokenizer.chat_template:
        raise BadInput(
            f"{spec or folder} has no chat template: it is a pretrained model without chat tuning.",
            hint="Use its instruct variant, or add a chat_template.jinja to its folder.",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def check_memory(folder: Path, spec: str, *, bytes_per_weight: int) -> None:
    """Raise TooLarge before loading what cannot fit; a GPU's memory counts where there is one."""
    import psutil
    import torch

    stored = sum(path.stat().st_size for path in weight_files(folder))
    config = read_json(folder / "config.json")
    width = 4 if config.get("dtype", config.get("torch_dtype")) == "float32" else 2
    needed = stored / width * bytes_per_weight * 1.2  # activations and the optimizer's share
    if torch.cuda.is_available():
        free = int(torch.cuda.mem_get_info()[0])
    else:
        free = min(int(psutil.virtual_memory().available), total_memory())
    if needed > free:
        raise TooLarge(
            f"Training {spec!r} needs about {needed / 1e9:.1f} GB of memory; only "
            f"{free / 1e9:.1f} GB are free.",
            hint="Use a smaller base model, or --method qlora on a GPU.",
        )
