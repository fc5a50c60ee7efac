"""What a trained adapter becomes: merged weights, a GGUF file, or OpenVINO files.

    export(Path("var/run"), "openvino", force=False)["path"]    # a folder for SEEDBED_MODEL=path:…

The folder of an export appears complete or not at all, and never in place of something else.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from finetune_lora.export.gguf import write_gguf
from finetune_lora.export.merge import load_merged
from finetune_lora.export.openvino import write_openvino
from finetune_lora.model.adapter import CONFIG_FILE, TASK_FILE
from finetune_lora.model.base import Base
from finetune_lora.runs.run_folder import evaluate_command
from seedbed.cli import command_line
from seedbed.errors import BadInput, ConfigError
from seedbed.files import disk_errors, new_folder, read_json

# The types of weights that each format can store, the default first.
TYPES = {
    "merged": ("bfloat16", "float32"),
    "gguf": ("Q8_0", "F16"),
    "openvino": ("Q8_0", "F16"),
}
MANIFEST = "export.json"
"""Marks a folder as ours: an export of the same format may replace it without --force."""
_HINT = "Free some disk space, or choose another --output."


def export(
    source: Path,
    to: str,
    output: Path | None = None,
    *,
    type: str | None = None,
    force: bool,
    adapter: Base | None = None,
) -> dict[str, Any]:
    """Write `source`, an adapter or a folder of merged weights, as `to` (a key of TYPES).

    Without `output`, an adapter goes to model/ in its folder, merged weights and other sources
    beside it. A caller that has loaded the adapter passes it as `adapter`, which is not modified;
    load it in float32 for an exact result.

    Returns `kind`, `path`, `type`, `megabytes` and `next`, the command that uses it: a merged
    model has to be converted first. Raises BadInput for a model that the format cannot store or a
    folder that must not be replaced, DiskError when the disk is full.
    """
    if to not in TYPES:
        raise ConfigError(f"Unknown export format {to!r}.", hint=f"Available: {', '.join(TYPES)}.")
    type = type or TYPES[to][0]
    if type not in TYPES[to]:
        available = ", ".join(TYPES[to])
        raise BadInput(f"Unknown type {type!r} for {to}.", hint=f"Available: {available}.")
    out = (output or _default_output(source, to)).expanduser().resolve()
    _check_replaceable(out, source.resolve(), to, force=force)
    # 1. Load the base and add the adapter to its weights.
    model = load_merged(source, adapter, must_be_adapter=to == "merged")
    path = out / f"model-{type}.gguf" if to == "gguf" else out
    with disk_errors("The model", out, hint=_HINT), new_folder(out) as folder:
        # 2. Write the weights and the tokenizer.
        if to == "merged":
            model.model.to(getattr(torch, type)).save_pretrained(folder)
            model.tokenizer.save_pretrained(folder)
        elif to == "gguf":
            write_gguf(model, folder / path.name, type)
        else:
            write_openvino(model, folder, type)
        # 3. Add the context window, what to ask the model, and what it may answer.
        if to != "merged":
            _copy(model.folder, folder, "config.json", "generation_config.json")
        _copy(source, folder, TASK_FILE)
        (folder / MANIFEST).write_text(json.dumps({"kind": to, "type": type}) + "\n", "utf-8")
    convert = command_line("finetune-lora", "export", "--adapter", out, "--to", "openvino")
    use = convert if to == "merged" else evaluate_command(source, model=out)
    size = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    return {"kind": to, "path": str(path), "type": type, "megabytes": round(size, 1), "next": use}


def _default_output(source: Path, to: str) -> Path:
    if to != "merged" and (source / CONFIG_FILE).exists():
        return source / "model"  # where `evaluate` looks for the served form of a run
    whole = source.resolve()
    return whole.with_name(f"{whole.name}-{to}")


def _check_replaceable(out: Path, source: Path, kind: str, *, force: bool) -> None:
    """Raise BadInput if `out` contains anything but an earlier export of this kind."""
    if not out.exists():
        return
    if not out.is_dir():
        raise BadInput(f"{out} is a file, not a folder.", hint="Choose another --output.")
    if any(inside.is_relative_to(out) for inside in (source, Path.cwd().resolve(), Path.home())):
        raise BadInput(
            f"{out} contains other files besides an export.", hint="Choose another --output."
        )
    manifest = out / MANIFEST
    earlier = read_json(manifest)["kind"] if manifest.exists() else None
    if force or earlier == kind or not any(out.iterdir()):
        return
    content = f"contains an export to {earlier}" if earlier else "is not empty and not an export"
    raise BadInput(
        f"{out} {content}.", hint="Choose another --output, or replace the folder with --force."
    )


def _copy(source: Path, target: Path, *names: str) -> None:
    for name in names:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
