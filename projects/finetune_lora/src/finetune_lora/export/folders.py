"""A folder that appears whole or not at all. It knows nothing about what is written into it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finetune_lora.disk import DiskError, sync_folder
from seedbed.errors import BadInput

MANIFEST = "export.json"
"""Marks a folder as ours: it may be replaced without being asked twice."""


@contextmanager
def new_folder(out: Path, facts: dict[str, Any], *, force: bool = False) -> Iterator[Path]:
    """A scratch folder beside `out` that takes its place when the block ends without an error.

    `facts` (`source` and more) are written into it as `export.json`. A process killed at any
    instant leaves `out` as it was. Raises BadInput for a folder that holds something else (unless
    `force`), DiskError when it cannot be written.
    """
    out = out.expanduser().resolve()
    _may_replace(out, Path(facts["source"]).resolve(), force=force)
    scratch = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed export left
    try:
        scratch.mkdir(parents=True)
        yield scratch
        (scratch / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
        sync_folder(scratch)
        _swap(scratch, out)
    except OSError as error:
        raise unwritable(out, error.strerror or str(error)) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def unwritable(out: Path, why: str) -> DiskError:
    """The error of a folder that could not be written; nothing of it is left."""
    return DiskError(
        f"Cannot write {out}: {why}.",
        hint="Free some disk space, or choose another --output.",
    )


def _may_replace(out: Path, source: Path, *, force: bool) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise BadInput(f"{out} is a file, not a folder.", hint="Choose another --output.")
    if any(kept.is_relative_to(out) for kept in (source, Path.cwd().resolve(), Path.home())):
        raise BadInput(
            f"{out} contains other files besides an export.", hint="Choose another --output."
        )
    if force or (out / MANIFEST).exists() or not any(out.iterdir()):
        return
    raise BadInput(
        f"{out} is not empty and not the result of an export.",
        hint="Choose another --output, or replace it with --force.",
    )


def _swap(scratch: Path, out: Path) -> None:
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    scratch.rename(out)
    shutil.rmtree(old, ignore_errors=True)
