"""A base model to train: from a model spec to weights and a tokenizer that transformers reads.

It knows where weights come from and which number type suits this machine. It knows no adapters.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from finetune_lora.quiet import quiet_loading
from seedbed.errors import BadInput, ConfigError, TooLarge, WeightsError
from seedbed.files import new_folder
from seedbed.guardrails import reason
from seedbed.models import weights
from seedbed.models.catalog import Model, find
from seedbed.settings import Settings, load

# Part of the folder's name: raise it when `_dequantise` changes what it writes.
FORMAT = 2
_SUFFIXES = (".safetensors", ".bin")
_END = 1 << 20


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


def base_folder(spec: str, settings: Settings | None = None) -> Path:
    """The Hugging Face folder of a spec: a catalogue name, path:DIR or hf:ORG/REPO@REVISION.

    A packaged GGUF is dequantised once, into the cache. Raises ConfigError or WeightsError.
    """
    settings = settings or load(Settings)
    model = find(spec)
    if model is not None and model.files and model.files[0].path.endswith(".gguf"):
        return _dequantised(model, settings)
    if model is None and not spec.startswith("path:"):
        raise ConfigError(
            f"Unknown base model {spec!r}.", hint="Use smollm2, path:DIR or hf:ORG/REPO@REVISION."
        )
    folder = weights.ensure(model or spec, settings=settings)
    if not (folder / "config.json").exists() or not _weight_files(folder):
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise WeightsError(
            f"{spec!r} cannot be trained: {folder} does not contain config.json and weights "
            f"(it contains: {there}).",
            hint="Use a folder written by save_pretrained of transformers.",
        )
    return folder


def load_base(
    spec: str, *, dtype: str = "auto", quantize: bool = False, settings: Settings | None = None
) -> Base:
    """Load a base; `dtype` is auto, float32 or bfloat16, `quantize` 4-bit weights (needs CUDA).

    Raises BadInput where it has no chat template, TooLarge where it does not fit in memory.
    """
    if spec.startswith("path:"):  # an adapter is used in other folders than it was trained in
        spec = f"path:{Path(spec.removeprefix('path:')).expanduser().resolve()}"
    folder = base_folder(spec, settings)
    chosen = resolve_dtype(dtype)
    tokenizer = load_tokenizer(folder, spec)
    check_memory(folder, spec, bytes_per_weight=1 if quantize else (2 if "16" in chosen else 4))

    quiet_loading()
    import torch
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {"dtype": getattr(torch, chosen), "attn_implementation": "sdpa"}
    if quantize:
        options["quantization_config"] = _four_bits(torch)
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, **options)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise WeightsError(f"Cannot load {spec!r}: {reason(error)}") from error
    return Base(model, tokenizer, spec, folder, fingerprint(folder))


def load_tokenizer(folder: Path, spec: str = "") -> Any:
    """The tokenizer of a folder; BadInput where it knows no chat."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # tokenizers raises nothing more exact
        raise WeightsError(
            f"Cannot load the tokenizer of {spec or folder}: {reason(error)}"
        ) from error
    if not tokenizer.chat_template:
        raise BadInput(
            f"{spec or folder} has no chat template: it is a pretrained model without chat tuning.",
            hint="Use its instruct variant, or add a chat_template.jinja to its folder.",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def resolve_dtype(dtype: str) -> str:
    """ "auto" is bfloat16 where the processor multiplies it faster, else float32."""
    if dtype not in ("auto", "float32", "bfloat16"):
        raise ConfigError(f"Unknown dtype {dtype!r}.", hint="Use auto, float32 or bfloat16.")
    if dtype != "auto":
        return dtype
    import torch

    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    cpu: Any = torch.cpu
    # Twice to three times as fast with these instructions, and slower than float32 without.
    return (
        "bfloat16" if cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported() else "float32"
    )


def fingerprint(folder: Path) -> str:
    """16 hex digits that name the weights without reading all of them: sizes, heads and tails."""
    digest = hashlib.sha256()
    for path in _weight_files(folder):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(_END))
            file.seek(max(0, size - _END))
            digest.update(file.read())
    return digest.hexdigest()[:16]


def check_memory(folder: Path, spec: str, *, bytes_per_weight: int) -> None:
    """Raise TooLarge before loading what cannot fit; a GPU's memory counts where there is one."""
    stored = sum(path.stat().st_size for path in _weight_files(folder))
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except ValueError as error:
        raise WeightsError(f"{folder / 'config.json'} is corrupt: {error}.") from None
    width = 4 if config.get("dtype", config.get("torch_dtype")) == "float32" else 2
    needed = stored / width * bytes_per_weight * 1.2  # activations and the optimizer's share
    free = free_memory()
    if needed > free:
        raise TooLarge(
            f"Training {spec!r} needs about {needed / 1e9:.1f} GB of memory; only "
            f"{free / 1e9:.1f} GB are free.",
            hint="Use a smaller base model, or --method qlora on a GPU.",
        )


def free_memory() -> int:
    """Bytes of the GPU, or of this machine, that are free; within the container's limit."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    free = int(psutil.virtual_memory().available)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = Path("/sys/fs/cgroup", name)
        if limit.exists() and limit.read_text().strip().isdigit():
            free = min(free, int(limit.read_text()))
    return free


def _four_bits(torch: Any) -> Any:
    if not torch.cuda.is_available():
        raise ConfigError(
            "4-bit base weights (QLoRA) need a CUDA GPU.", hint="Use --method lora on this machine."
        )
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _weight_files(folder: Path) -> list[Path]:
    found = [p for p in sorted(folder.iterdir()) if p.suffix in _SUFFIXES]
    return [p for p in found if not p.name.startswith(("adapter_", "training_args"))]


def _dequantised(model: Model, settings: Settings) -> Path:
    from filelock import FileLock

    parent = settings.cache_dir / "models"
    ready = parent / f"{model.name}-{model.files[0].sha256[:10]}-train-{FORMAT}"
    if ready.exists():  # renamed when it was whole
        return ready
    source = weights.source_file(model)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with FileLock(parent / f".{ready.name}.lock"):
            if not ready.exists():
                with new_folder(ready) as scratch:
                    _dequantise(source, scratch)
    except OSError as error:
        raise WeightsError(
            f"Cannot write to {parent}: {error.strerror or error}.",
            hint="Free some disk space, or set SEEDBED_CACHE_DIR to another folder.",
        ) from error
    return ready


def _dequantise(source: Path, target: Path) -> None:
    quiet_loading()
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    read: dict[str, Any] = {"gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **read)
    # transformers splits every GGUF's text as GPT-2 does; SmolLM2 was trained on single digits.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.save_pretrained(target)
    model = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **read)
    config = model.config
    # transformers takes a dequantised model for a quantised one, which it does not save.
    del config.quantization_config
    plain = type(model)(config)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    plain.save_pretrained(target)
