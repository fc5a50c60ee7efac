"""Find the files to ingest, in folders and their subfolders, and say which are left out and why.

    [file.path for file in find_files([Path("docs")], ["*.md"], []) if not file.reason]

Decides by names and file types only; the content of a file is read in `ingest.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from rag_chatbot.read import file_type

# Folders of generated or installed files, which are never documents.
GENERATED = {"node_modules", "__pycache__", "venv", "site-packages", "target", "dist", "build"}


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file to read, or one that is left out: then `reason` is not empty.

    `relative` is the path below `root`, with slashes. `failed` means that it should have been read.
    """

    path: Path
    root: Path
    relative: str
    reason: str = ""
    failed: bool = False


def find_files(
    paths: Sequence[Path], include: Sequence[str], exclude: Sequence[str]
) -> Iterator[FileEntry]:
    """Yield every file below `paths` once, in order of name.

    Files that `include` or `exclude` drop are not yielded at all; empty means no restriction.
    """
    seen: set[str] = set()
    for path in paths:
        root = path.absolute()  # symbolic links are not resolved: users know these names
        if not os.path.lexists(root):
            yield FileEntry(root, root, str(path), "No such file or folder.", failed=True)
        elif root.is_dir():
            for entry in _walk(root, include, exclude):
                if str(entry.path) not in seen:
                    seen.add(str(entry.path))
                    yield entry
        elif str(root) not in seen:
            seen.add(str(root))
            yield _file(root, root.parent, root.name)


def _walk(root: Path, include: Sequence[str], exclude: Sequence[str]) -> Iterator[FileEntry]:
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
            yield FileEntry(folder, root, name, reason, failed=True)
            continue
        below: list[Path] = []
        for entry in listed:
            path = Path(entry.path)
            relative = path.relative_to(root).as_posix()
            if _matches(relative, exclude):
                continue
            reason = _reason_to_skip(entry, real_root, visited)
            if reason:
                yield FileEntry(path, root, relative, reason)
            elif entry.is_dir():
                visited.add(os.path.realpath(path))
                below.append(path)
            elif not include or _matches(relative, include):
                yield _file(path, root, relative)
        stack += reversed(below)


def _reason_to_skip(entry: os.DirEntry[str], real_root: str, visited: set[str]) -> str:
    """Why an entry of a folder is skipped, or an empty string."""
    if entry.name.startswith("."):
        return "Hidden: the name begins with a dot."
    if entry.is_symlink():
        real = os.path.realpath(entry.path)
        if not (real + os.sep).startswith(real_root.rstrip(os.sep) + os.sep):
            return "A symbolic link to a place outside the folder."
        if entry.is_dir() and (real in visited or entry.path.startswith(real + os.sep)):
            return "A symbolic link to a folder that is read anyway."
    if entry.is_dir():
        return "A folder of generated or installed files." if entry.name in GENERATED else ""
    return ""


def _file(path: Path, root: Path, relative: str) -> FileEntry:
    if not path.is_file():
        if path.is_symlink() and not path.exists():
            return FileEntry(path, root, relative, "A broken symbolic link.")
        return FileEntry(path, root, relative, "Not a regular file.")
    if file_type(path) is None:
        kind = f"file type {path.suffix}" if path.suffix else "file without an extension"
        return FileEntry(path, root, relative, f"Unsupported {kind}.")
    return FileEntry(path, root, relative)


def _matches(relative: str, globs: Sequence[str]) -> bool:
    """Whether a glob matches the relative path, the name, or the path as a folder (`drafts/`)."""
    name = relative.rsplit("/", 1)[-1]
    return any(
        fnmatchcase(relative, glob) or fnmatchcase(name, glob) or fnmatchcase(f"{relative}/", glob)
        for glob in globs
    )
