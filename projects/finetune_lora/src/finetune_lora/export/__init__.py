"""What a trained adapter becomes: merged weights, a GGUF, OpenVINO files, a hub repository.

Nothing here trains or evaluates; each module reads a folder and writes a folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finetune_lora.adapter import TASK_FILE
from finetune_lora.disk import write_text
from seedbed.errors import ConfigError

KINDS = ("merged", "gguf", "openvino")


def export(
    source: Path, to: str, output: Path | None = None, *, type: str | None = None, force: bool
) -> dict[str, Any]:
    """Write `source` as `to` (merged, gguf, openvino) into `output`, or beside it without one.

    `type` is how numbers are stored: bfloat16 or float32 for merged, else as `gguf.TYPES` has them.
    Returns `kind`, `path`, `type`, `megabytes` and `next`, a command that uses it. Raises what the
    modules raise.
    """
    if to not in KINDS:
        raise ConfigError(f"Nothing exports to {to!r}.", hint=f"Use {', '.join(KINDS)}.")
    out = output or source.resolve().with_name(f"{source.resolve().stem}-{to}")
    options: dict[str, Any] = {"force": force}
    if to == "merged":
        from finetune_lora.export.merge import merge

        kind = options["dtype"] = type or "bfloat16"
        path, use = merge(source, out, **options), f"finetune-lora export --adapter {out}"
    else:
        from finetune_lora.export.gguf import DEFAULT_TYPE, to_gguf
        from finetune_lora.export.openvino import to_openvino

        kind = options["type"] = type or DEFAULT_TYPE
        path = (to_gguf if to == "gguf" else to_openvino)(source, out, **options)
        use = f"SEEDBED_MODEL=path:{out}"
    if (source / TASK_FILE).exists():  # what to ask the model, and what it may answer
        write_text(out / TASK_FILE, (source / TASK_FILE).read_text("utf-8"))
    size = sum(file.stat().st_size for file in out.iterdir() if file.is_file()) / 1e6
    return {"kind": to, "path": str(path), "type": kind, "megabytes": round(size, 1), "next": use}
