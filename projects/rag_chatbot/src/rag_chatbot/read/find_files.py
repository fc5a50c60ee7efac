"""Find the files to ingest, in folders and their subfolders, and say which are left out and why.

    [file.path for file in find_files([Path("docs")]) if not file.reason]

Decides by names and file types only; the content of a file is read in `ingest.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


def find_files(paths: Sequence[Path]) -> Iterator[FileEntry]:
    """Yield every file below `paths` once, in order of name."""
    seen: set[Path] = set()
    for path in paths:
        root = absolute(path)
        for entry in _walk(root, str(path)):
            if entry.path not in seen:
                seen.add(entry.path)
                yield entry


def _walk(root: Path, name: str) -> Iterator[FileEntry]:
    """Yield a file, or those of a folder. A subfolder that cannot be read does not end the walk."""
    if not root.is_dir():
        missing = FileEntry(root, name, "No such file or folder.", failed=True)
        yield FileEntry(root, root.name, _file_reason(root)) if root.exists() else missing
        return
    errors: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=errors.append):
        skipped = [name for name in folders if _reason(Path(folder, name))]
        folders[:] = sorted(set(folders) - set(skipped))
        for entry in sorted([*names, *skipped]):
            path = Path(folder, entry)
            source = f"{root.name}/{path.relative_to(root).as_posix()}"
            yield FileEntry(path, source, _reason(path))
    for error in errors:
        reason = f"Cannot be read: {error.strerror}."
        yield FileEntry(Path(error.filename), str(error.filename), reason, failed=True)


def _reason(path: Path) -> str:
    """Why an entry of a folder is left out, or an empty string."""
    if path.name.startswith("."):
        return "Hidden: the name begins with a dot."
    if path.is_symlink():
        return "A symbolic link. Ingest what it points to by its own path."
    if path.is_dir():
        generated = "A folder of generated or installed files."
        return generated if path.name in GENERATED else ""
    return _file_reason(path)


def _file_reason(path: Path) -> str:
    if not path.is_file():
        return "Not a regular file."
    if file_type(path) is None:
        kind = f"file type {path.suffix}" if path.suffix else "file without an extension"
        return f"Unsupported {kind}."
    return ""


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
        pass
    return False
