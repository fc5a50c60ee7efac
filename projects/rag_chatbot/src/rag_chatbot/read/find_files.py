"""Which files an ingest reads: folders recursively, with what is left out and why.

It knows names and folders, not what is in a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from rag_chatbot.read import file_type

GENERATED = {"node_modules", "__pycache__", "venv", "site-packages", "target", "dist", "build"}


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read (`reason` is empty), or something left out. `relative` is below its root."""

    path: Path
    root: Path
    relative: str
    reason: str = ""
    failed: bool = False


def walk(paths: Sequence[Path], include: Sequence[str], exclude: Sequence[str]) -> Iterator[Found]:
    """Every file below `paths` once, by name; what `include` and `exclude` drop is not listed."""
    seen: set[str] = set()
    for given in paths:
        root = given.absolute()  # links are not resolved: these are the names that the user sees
        if not os.path.lexists(root):
            yield Found(root, root, str(given), "There is no such file or folder.", failed=True)
        elif root.is_dir():
            for found in _folder(root, include, exclude):
                if str(found.path) not in seen:
                    seen.add(str(found.path))
                    yield found
        elif str(root) not in seen:
            seen.add(str(root))
            yield _file(root, root.parent, root.name)


def _folder(root: Path, include: Sequence[str], exclude: Sequence[str]) -> Iterator[Found]:
    real_root = os.path.realpath(root)
    visited = {real_root}
    stack = [root]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            name = folder.relative_to(root).as_posix()
            reason = f"The folder cannot be read: {error.strerror}."
            yield Found(folder, root, name, reason, failed=True)
            continue
        below: list[Path] = []
        for entry in listed:
            path = Path(entry.path)
            relative = path.relative_to(root).as_posix()
            if _matches(relative, exclude):
                continue
            reason = _left_out(entry, real_root, visited)
            if reason:
                yield Found(path, root, relative, reason)
            elif entry.is_dir():
                visited.add(os.path.realpath(path))
                below.append(path)
            elif not include or _matches(relative, include):
                yield _file(path, root, relative)
        stack += reversed(below)


def _left_out(entry: os.DirEntry[str], real_root: str, visited: set[str]) -> str:
    if entry.name.startswith("."):
        return "It is hidden (its name begins with a dot)."
    if entry.is_symlink():
        real = os.path.realpath(entry.path)
        if not (real + os.sep).startswith(real_root.rstrip(os.sep) + os.sep):
            return "It is a link that leads out of the folder."
        if entry.is_dir() and (real in visited or entry.path.startswith(real + os.sep)):
            return "It is a link to a folder that is read anyway."
    if entry.is_dir():
        return "Generated or installed files." if entry.name in GENERATED else ""
    return ""


def _file(path: Path, root: Path, relative: str) -> Found:
    if not path.is_file():
        if path.is_symlink() and not path.exists():
            return Found(path, root, relative, "The link leads nowhere.")
        return Found(path, root, relative, "It is not a regular file.")
    if file_type(path) is None:
        kind = f"type {path.suffix}" if path.suffix else "a file without an ending"
        return Found(path, root, relative, f"Not read: {kind}.")
    return Found(path, root, relative)


def _matches(relative: str, globs: Sequence[str]) -> bool:
    """A glob meets the whole relative path, its last part, or (as `drafts/`) a folder above."""
    name = relative.rsplit("/", 1)[-1]
    return any(
        fnmatchcase(relative, glob) or fnmatchcase(name, glob) or fnmatchcase(f"{relative}/", glob)
        for glob in globs
    )
