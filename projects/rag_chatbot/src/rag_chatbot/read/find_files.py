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
        root = path.absolute()  # symbolic links are not resolved: users know these names
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
    visited: set[tuple[int, int]] = set()  # device and inode of what was read
    stack, links = [root], list[Path]()
    while stack or links:
        # Links come last, and only if their target has not been read under its own name.
        late = not stack
        path = links.pop(0) if late else stack.pop()
        relative = path.relative_to(root).as_posix()
        try:
            reason = "" if path == root else _reason_to_skip(path, root)
            if reason:
                yield FileEntry(path, root, relative, reason)
                continue
            if path.is_symlink() and path != root and not late:
                links.append(path)
                continue
            info = path.stat()
            is_folder, identity = stat.S_ISDIR(info.st_mode), (info.st_dev, info.st_ino)
            below = sorted(path.iterdir()) if is_folder and identity not in visited else []
        except OSError as error:
            yield _unreadable(path, root, relative, error)
            continue
        if late and identity in visited:
            yield FileEntry(path, root, relative, "A symbolic link to what is read anyway.")
        elif is_folder:
            visited.add(identity)
            stack += [
                child
                for child in reversed(below)
                if not _matches(child.relative_to(root).as_posix(), exclude)
            ]
        elif not include or _matches(relative, include):
            entry = _file(path, root)
            if not entry.reason:
                visited.add(identity)
            yield entry


def _reason_to_skip(path: Path, root: Path) -> str:
    """Why an entry of a folder is skipped by its name or place, or an empty string."""
    if path.name.startswith("."):
        return "Hidden: the name begins with a dot."
    if path.name in GENERATED and path.is_dir():
        return "A folder of generated or installed files."
    if path.is_symlink() and not _inside(path, root):
        return "A symbolic link to a place outside the folder."
    return ""


def _inside(path: Path, folder: Path) -> bool:
    """Whether a path is below a folder once all links are resolved."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _file(path: Path, root: Path) -> FileEntry:
    relative = path.relative_to(root).as_posix()
    if not path.is_file():
        return FileEntry(path, root, relative, "Not a regular file.")
    if file_type(path) is None:
        kind = f"file type {path.suffix}" if path.suffix else "file without an extension"
        return FileEntry(path, root, relative, f"Unsupported {kind}.")
    return FileEntry(path, root, relative)


def _unreadable(path: Path, root: Path, relative: str, error: OSError) -> FileEntry:
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return FileEntry(path, root, relative, "A broken symbolic link.")
    return FileEntry(path, root, relative, f"Cannot be read: {error.strerror}.", failed=True)


def _matches(relative: str, globs: Sequence[str]) -> bool:
    """Whether a glob matches the relative path, the name, or the path as a folder (`drafts/`)."""
    name = relative.rsplit("/", 1)[-1]
    return any(
        fnmatchcase(relative, glob) or fnmatchcase(name, glob) or fnmatchcase(f"{relative}/", glob)
        for glob in globs
    )
