"""Writing so that a process killed at any instant leaves the old state or the new one.

It knows files and folders only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from seedbed.errors import SeedbedError
from seedbed.models.weights import sync


class DiskError(SeedbedError):
    """The disk refused a write."""


def write_text(path: Path, text: str) -> None:
    """Replace a file's content in one step."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file's content in one step."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def sync_folder(folder: Path) -> None:
    """Bring a folder and all that is in it from memory to the disk."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


@contextmanager
def explain(what: str, where: Path) -> Iterator[None]:
    """Turn an OSError (a full disk above all) into one line that says what could not be written."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or _refusal(str(error))
        if why is None:
            raise
        raise DiskError(
            f"Cannot write {what} to {where}: {why}.",
            hint="Free some disk space and continue with --resume.",
        ) from error


def _refusal(said: str) -> str | None:
    """Why a write failed, in the words of torch's and safetensors' own writers."""
    for why in ("No space left on device", "File too large", "Disk quota exceeded"):
        if why in said:
            return why
    writers = ("PytorchStreamWriter", "unexpected pos", "file write failed", "iostream error")
    return "the disk is full" if any(one in said for one in writers) else None
