"""A causal language model as a folder that transformers reads, e.g. to train it.

    folder = hf_folder("smollm2")    # the packaged GGUF, dequantised once into the cache
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=resolve_dtype("auto"))

Needs the extra `training`.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

from seedbed.errors import ConfigError, MissingExtra, WeightsError
from seedbed.files import new_folder
from seedbed.models.weights.catalog import Model, Spec, find
from seedbed.models.weights.ensure import build_once, ensure, source_file
from seedbed.runs.training import quiet_loading
from seedbed.settings import Settings, load

# Part of the folder's name: raise it when `_dequantise` changes what it writes.
_FORMAT = 2
_SUFFIXES = (".safetensors", ".bin")
_END = 1 << 20  # bytes that `fingerprint` reads from each end of a file


def hf_folder(spec: str, settings: Settings | None = None) -> Path:
    """The Hugging Face folder of a spec: a catalogue name, path:DIR or hf:ORG/REPO@REVISION.

    A packaged GGUF is dequantised once, into the cache. Raises ConfigError, MissingExtra or
    WeightsError.
    """
    settings = settings or load(Settings)
    model = find(spec)
    if model is not None and model.files and model.files[0].path.endswith(".gguf"):
        name = f"{model.name}-{model.files[0].sha256[:10]}-train-{_FORMAT}"
        ready = settings.cache_dir / "models" / name
        return build_once(model, ready, partial(_dequantise, model))
    if model is None and Spec.of(spec).provider != "path":
        raise ConfigError(
            f"Unknown base model {spec!r}.", hint="Use smollm2, path:DIR or hf:ORG/REPO@REVISION."
        )
    folder = ensure(model or spec, settings=settings)
    if not (folder / "config.json").exists() or not weight_files(folder):
        files = ", ".join(sorted(p.name for p in folder.iterdir())[:8]) or "nothing"
        raise WeightsError(
            f"{spec!r} cannot be trained: {folder} does not contain config.json and weights "
            f"(it contains: {files}).",
            hint="Use a folder written by save_pretrained of transformers.",
        )
    return folder


def weight_files(folder: Path) -> list[Path]:
    """The files with the model's weights, by name; not those of an adapter or of the Trainer."""
    files = [p for p in sorted(folder.iterdir()) if p.suffix in _SUFFIXES]
    return [p for p in files if not p.name.startswith(("adapter_", "training_args"))]


def fingerprint(folder: Path) -> str:
    """16 hex digits that identify the weights, from the sizes, heads and tails of their files."""
    digest = hashlib.sha256()
    for path in weight_files(folder):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            digest.update(file.read(_END))
            file.seek(max(0, size - _END))
            digest.update(file.read())
    return digest.hexdigest()[:16]


def resolve_dtype(dtype: str) -> str:
    """float32 or bfloat16; "auto" is bfloat16 if the processor multiplies it faster.

    Raises ConfigError for any other name.
    """
    if dtype not in ("auto", "float32", "bfloat16"):
        raise ConfigError(f"Unknown dtype {dtype!r}.", hint="Use auto, float32 or bfloat16.")
    if dtype != "auto":
        return dtype
    import torch

    cpu: Any = torch.cpu
    if torch.cuda.is_available():
        faster = torch.cuda.is_bf16_supported()
    else:  # two to three times as fast with these instructions, slower than float32 without
        faster = cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
    return "bfloat16" if faster else "float32"


def _dequantise(entry: Model, target: Path) -> None:
    MissingExtra.check("torch", "transformers", "gguf", "accelerate", extra="training")
    quiet_loading()
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = source_file(entry)
    options: dict[str, Any] = {"gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **options)
    # transformers splits every GGUF's text as GPT-2 does; SmolLM2 was trained on single digits.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    model = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **options)
    # transformers treats a dequantised model as quantised, and refuses to save it.
    del model.config.quantization_config
    plain = type(model)(model.config)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    with new_folder(target) as scratch:
        tokenizer.save_pretrained(scratch)
        plain.save_pretrained(scratch)
