"""Files from the arguments of a command: files, folders with their sub-folders, and patterns.

find_files([Path("scans"), Path("photos/*.jpg")])    # sorted, each file once
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from glob import glob
from pathlib import Path

from seedbed.errors import BadInput

SUFFIXES = frozenset(
    ".avif .bmp .gif .jfif .jpeg .jpg .pbm .pdf .pgm .png .ppm .tif .tiff .webp".split()
)
"""Suffixes of the files that a folder is searched for; a file named itself may have any."""


def find_files(paths: Iterable[Path], suffixes: frozenset[str] = SUFFIXES) -> list[Path]:
    """All files, in the order of the arguments, those of a folder sorted by path.

    Hidden files and folders are left out. Raises BadInput for a folder or a pattern without a
    file that could be an image; a missing file is left to whoever opens it, so that it fails alone.
    """
    files: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            matches: Sequence[Path] = [
                file for file in sorted(path.rglob("*")) if _is_candidate(file, path, suffixes)
            ]
            if not matches:
                raise BadInput(f"{path} contains no images.", hint="Name another folder.")
        elif not path.exists() and any(character in str(path) for character in "*?["):
            names = sorted(glob(str(path), recursive=True))  # noqa: PTH207  (absolute ones too)
            matches = [file for file in map(Path, names) if file.is_file()]
            if not matches:
                raise BadInput(f"No file matches {str(path)!r}.")
        else:
            matches = [path]
        files.update(dict.fromkeys(matches))
    return list(files)


def _is_candidate(file: Path, folder: Path, suffixes: frozenset[str]) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.suffix.lower() in suffixes and file.is_file()
