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

    `source` is the path from the folder that was passed, with its name and slashes: "docs/a.md".
    `failed` means that it should have been read.
    """

    path: Path
    source: str
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
        root = absolute(path)
        if root.is_dir():
            entries = _walk(root, include, exclude)
        elif root.exists():
            entries = iter([_file(root, root.name)])
        else:
            entries = iter([FileEntry(root, str(path), "No such file or folder.", failed=True)])
        for entry in entries:
            if entry.path not in seen:
                seen.add(entry.path)
                yield entry


def _walk(root: Path, include: Sequence[str], exclude: Sequence[str]) -> Iterator[FileEntry]:
    """Yield the files of a folder and its subfolders. One that cannot be read stops no other."""
    errors: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=errors.append):
        below = Path(folder).relative_to(root)
        for name in sorted(folders):
            relative = (below / name).as_posix()
            reason = _reason_to_skip(Path(folder, name), is_folder=True)
            if _matches(relative, exclude):
                folders.remove(name)
            elif reason:
                folders.remove(name)
                yield FileEntry(Path(folder, name), f"{root.name}/{relative}", reason)
        folders.sort()
        for name in sorted(names):
            path, relative = Path(folder, name), (below / name).as_posix()
            if _matches(relative, exclude) or (include and not _matches(relative, include)):
                continue
            source = f"{root.name}/{relative}"
            reason = _reason_to_skip(path, is_folder=False)
            yield FileEntry(path, source, reason) if reason else _file(path, source)
    for error in errors:
        reason = f"Cannot be read: {error.strerror}."
        yield FileEntry(Path(error.filename), str(error.filename), reason, failed=True)


def _reason_to_skip(path: Path, *, is_folder: bool) -> str:
    """Why an entry of a folder is skipped by its name or kind, or an empty string."""
    if path.name.startswith("."):
        return "Hidden: the name begins with a dot."
    if path.is_symlink():
        return "A symbolic link. Ingest what it points to by its own path."
    if is_folder and path.name in GENERATED:
        return "A folder of generated or installed files."
    return ""


def _file(path: Path, source: str) -> FileEntry:
    if not path.is_file():
        return FileEntry(path, source, "Not a regular file.")
    if file_type(path) is None:
        kind = f"file type {path.suffix}" if path.suffix else "file without an extension"
        return FileEntry(path, source, f"Unsupported {kind}.")
    return FileEntry(path, source)


def _matches(relative: str, globs: Sequence[str]) -> bool:
    """Whether a glob matches the relative path, the name, or the path as a folder (`drafts/`)."""
    name = relative.rsplit("/", 1)[-1]
    return any(
        fnmatchcase(relative, glob) or fnmatchcase(name, glob) or fnmatchcase(f"{relative}/", glob)
        for glob in globs
    )


def absolute(path: Path | str) -> Path:
    """The path without `..`; links are not resolved, as users know these names."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def is_gone(path: Path | str) -> bool:
    """Whether nothing is at this path. Where permission is missing, something may be."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
