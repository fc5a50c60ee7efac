"""What a trained adapter becomes: merged weights, a GGUF, OpenVINO files, a hub repository.

Nothing here trains or evaluates; each module reads a folder and writes a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finetune_lora.model.adapter import CONFIG_FILE, TASK_FILE, task_beside
from seedbed.cli import command_line
from seedbed.errors import ConfigError
from seedbed.files import write_text

KINDS = ("merged", "gguf", "openvino")


def export(
    source: Path,
    to: str,
    output: Path | None = None,
    *,
    type: str | None = None,
    data: str | None = None,
    force: bool,
) -> dict[str, Any]:
    """Write `source` as `to` (merged, gguf, openvino) into `output`.

    Without `output`, an adapter goes to model/ in its folder, merged weights and other sources
    beside it.

    `type` is how numbers are stored: bfloat16 (the default) or float32 for merged, else as
    `gguf.TYPES` has them. Q4_1 is chosen on the examples of `data`, or on those trained on where
    their file is as it was; it is the default where there are any, and Q8_0 elsewhere. Returns
    `kind`, `path`, `type`, `megabytes` and `next`, the command that uses it: a merged
    model has to be converted first. Raises what the modules raise.
    """
    if to not in KINDS:
        raise ConfigError(f"Unknown export format {to!r}.", hint=f"Available: {', '.join(KINDS)}.")
    whole = source.resolve()
    name = whole.name if whole.is_dir() else whole.stem  # a folder may be called tickets-v1.5
    out = output or whole.with_name(f"{name}-{to}")
    if output is None and to != "merged" and (source / CONFIG_FILE).exists():
        out = source / "model"  # where `evaluate` looks for the served form of a run
    options: dict[str, Any] = {"force": force}
    if to == "merged":
        from finetune_lora.export.merge import merge

        kind = options["dtype"] = type or "bfloat16"
        path = merge(source, out, **options)
    else:
        from finetune_lora.data.read import load_dataset, training_data
        from finetune_lora.export.gguf import to_gguf
        from finetune_lora.export.openvino import to_openvino

        learned = load_dataset(data) if data else training_data(task_beside(source))
        options["examples"] = learned.examples if learned else ()
        kind = options["type"] = type or ("Q4_1" if learned else "Q8_0")
        path = (to_gguf if to == "gguf" else to_openvino)(source, out, **options)
    if (source / TASK_FILE).exists():  # what to ask the model, and what it may answer
        write_text(out / TASK_FILE, (source / TASK_FILE).read_text("utf-8"))
    from finetune_lora.runs.run_folder import evaluate_command

    convert = command_line("finetune-lora", "export", "--adapter", out, "--to", "openvino")
    use = convert if to == "merged" else evaluate_command(out, exported=True)
    size = sum(file.stat().st_size for file in out.iterdir() if file.is_file()) / 1e6
    return {"kind": to, "path": str(path), "type": kind, "megabytes": round(size, 1), "next": use}
