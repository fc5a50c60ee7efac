"""The folder of an export: whole or not there, and never in place of something else.

    with export_folder(out, {"source": "runs/a"}) as scratch: ...

What is written into it is up to the exporters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seedbed.errors import BadInput, DiskError
from seedbed.files import new_folder

MANIFEST = "export.json"
"""Marks a folder as ours: it may be replaced without --force."""


@contextmanager
def export_folder(out: Path, facts: dict[str, Any], *, force: bool = False) -> Iterator[Path]:
    """A scratch folder beside `out` that takes its place when the block ends without an error.

    `facts` (`source` and more) are written into it as `export.json`. Raises BadInput for a folder
    that contains something else (unless `force`), DiskError when it cannot be written.
    """
    out = out.expanduser().resolve()
    _may_replace(out, Path(facts["source"]).resolve(), force=force)
    try:
        with new_folder(out) as scratch:
            yield scratch
            (scratch / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise unwritable(out, error.strerror or str(error)) from error


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
    if any(inside.is_relative_to(out) for inside in (source, Path.cwd().resolve(), Path.home())):
        raise BadInput(
            f"{out} contains other files besides an export.", hint="Choose another --output."
        )
    if force or (out / MANIFEST).exists() or not any(out.iterdir()):
        return
    raise BadInput(
        f"{out} is not empty and not the result of an export.",
        hint="Choose another --output, or replace it with --force.",
    )
