"""A set of files that is written whole or not at all, even if the process is killed.

    write_together(folder, {"train.jsonl": b"...", "rejected.jsonl": None})

The files are first written to a folder of their own; its rename is the moment at which they count.
The next writer or reader moves whatever a killed writer had not moved yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock

from seedbed.errors import BadInput
from seedbed.files import new_folder, sync

_READY, _LOCK = ".prepare-ready", ".prepare-lock"


def write_together(folder: Path, files: Mapping[str, bytes | None]) -> None:
    """Write name → content into `folder`, replacing files of these names; None takes one away.

    Raises BadInput where the folder can't be written, or the disk is full: the old files are then
    still there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK):
            _move(folder)
            with new_folder(folder / _READY) as staging:
                for name, content in files.items():
                    path = staging / (name if content is not None else f"{name}.gone")
                    path.write_bytes(content or b"")
            _move(folder)
    except OSError as error:
        raise BadInput(
            f"Cannot write to {folder}: {error.strerror or error}.",
            hint="Free some disk space, or choose another --output.",
        ) from None


def finish(folder: Path) -> None:
    """Move what a writer that was killed had finished but not moved; mostly nothing."""
    if (folder / _READY).exists():
        with FileLock(folder / _LOCK):
            _move(folder)


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
