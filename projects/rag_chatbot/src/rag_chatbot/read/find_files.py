"""Find the files to ingest, in folders and their subfolders, and say which are left out and why.

    [file.path for file in find_files([Path("docs")], ["*.md"], []) if not file.reason]

Decides by names and file types only; the content of a file is read in `ingest.py`.
"""

from __future__ import annotations

import os
import stat
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
    seen: set[Path] = set()
    for path in paths:
        root = Path(os.path.abspath(path))  # without resolving links: users know these names
        try:
            is_folder = stat.S_ISDIR(root.stat().st_mode)
        except FileNotFoundError:
            yield FileEntry(root, root, str(path), "No such file or folder.", failed=True)
            continue
        except OSError as error:
            yield _unreadable(root, root, str(path), error)
            continue
        entries = _walk(root, include, exclude) if is_folder else [_file(root, root.parent)]
        for entry in entries:
            if entry.path not in seen:
                seen.add(entry.path)
                yield entry


def _walk(root: Path, include: Sequence[str], exclude: Sequence[str]) -> Iterator[FileEntry]:
    """Yield the files of a folder and its subfolders. One that cannot be read stops no other."""
    stack = [root]
    while stack:
        path = stack.pop()
        relative = path.relative_to(root).as_posix()
        try:
            reason = "" if path == root else _reason_to_skip(path)
            is_folder = not reason and stat.S_ISDIR(path.stat().st_mode)
            below = sorted(path.iterdir(), reverse=True) if is_folder else []
        except OSError as error:
            yield _unreadable(path, root, relative, error)
            continue
        if reason:
            yield FileEntry(path, root, relative, reason)
        elif is_folder:
            stack += [
                child
                for child in below
                if not _matches(child.relative_to(root).as_posix(), exclude)
            ]
        elif not include or _matches(relative, include):
            yield _file(path, root)


def _reason_to_skip(path: Path) -> str:
    """Why an entry of a folder is skipped by its name or kind, or an empty string."""
    if path.name.startswith("."):
        return "Hidden: the name begins with a dot."
    if path.is_symlink():
        return "A symbolic link. Ingest what it points to by its own path."
    if path.name in GENERATED and path.is_dir():
        return "A folder of generated or installed files."
    return ""


def _file(path: Path, root: Path) -> FileEntry:
    relative = path.relative_to(root).as_posix()
    if not path.is_file():
        return FileEntry(path, root, relative, "Not a regular file.")
    if file_type(path) is None:
        kind = f"file type {path.suffix}" if path.suffix else "file without an extension"
        return FileEntry(path, root, relative, f"Unsupported {kind}.")
    return FileEntry(path, root, relative)


def _unreadable(path: Path, root: Path, relative: str, error: OSError) -> FileEntry:
    return FileEntry(path, root, relative, f"Cannot be read: {error.strerror}.", failed=True)


def _matches(relative: str, globs: Sequence[str]) -> bool:
    """Whether a glob matches the relative path, the name, or the path as a folder (`drafts/`)."""
    name = relative.rsplit("/", 1)[-1]
    return any(
        fnmatchcase(relative, glob) or fnmatchcase(name, glob) or fnmatchcase(f"{relative}/", glob)
        for glob in globs
    )
