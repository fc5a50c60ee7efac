"""A set of files that is written whole or not at all, whenever the process is killed.

The files are first complete in a folder beside their place; the rename of that folder is the
moment at which they count. Who comes after a killed writer moves what is still to be moved.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from finetune_lora.disk import sync_folder
from seedbed.errors import BadInput
from seedbed.models.weights import sync

_STAGING, _READY, _LOCK = ".prepare-unfinished", ".prepare-ready", ".prepare-lock"


def write_together(folder: Path, files: Mapping[str, bytes | None]) -> None:
    """Write name → content into `folder`, replacing files of these names; None takes one away.

    Raises BadInput where the folder can't be written, or the disk is full: the old files are then
    still there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK):
            _move(folder)
            _stage(folder / _STAGING, files)
            (folder / _STAGING).rename(folder / _READY)
            sync(folder)
            _move(folder)
    except OSError as error:
        raise BadInput(
            f"Can't write to {folder}: {error.strerror or error}.",
            hint="Is the disk full? Or give another folder with --output.",
        ) from None


def finish(folder: Path) -> None:
    """Move what a writer that was killed had finished but not moved; mostly nothing."""
    if (folder / _READY).exists():
        with FileLock(folder / _LOCK):
            _move(folder)


def _stage(staging: Path, files: Mapping[str, bytes | None]) -> None:
    shutil.rmtree(staging, ignore_errors=True)  # of a killed writer: we hold the lock
    staging.mkdir()
    try:
        for name, content in files.items():
            path = staging / (name if content is not None else f"{name}.gone")
            path.write_bytes(content or b"")
        sync_folder(staging)
    except OSError:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _move(folder: Path) -> None:
    ready = folder / _READY
    if not ready.is_dir():
        return
    for path in sorted(ready.iterdir()):
        if path.suffix == ".gone":
            (folder / path.stem).unlink(missing_ok=True)
            path.unlink()
        else:
            path.replace(folder / path.name)
    sync(folder)
    ready.rmdir()
