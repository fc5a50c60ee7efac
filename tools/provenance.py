"""What a published figure was measured on, and whether that has changed since.

    about = record(root, paths=["projects/rag_chatbot/src"], chosen_on=[])  # by `make bench`
    note(root, results, ["rag-answers"])                                    # by `make docs`

Each benchmark in `benchmarks/results.json` has an entry `measured`: the commit, the `paths` of the
code and data that it measures with their `digest`, and `chosen_on`, the data on which constants of
that code were chosen. A figure that is older than this record has only `before`, a commit.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def digest(root: Path, paths: Iterable[str]) -> str:
    """A hash of the files at `paths`, and below them, by name and content."""
    sha = hashlib.sha256()
    for path in sorted(paths):
        place = root / path
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in files:
            if file.is_file() and file.suffix != ".pyc":
                sha.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return sha.hexdigest()[:12]


def record(root: Path, paths: Sequence[str], chosen_on: Sequence[str]) -> dict[str, Any]:
    """The entry `measured` of a benchmark that has just run."""
    git = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    about = {"commit": done.stdout.strip(), "digest": digest(root, paths), "paths": list(paths)}
    return {**about, "chosen_on": list(chosen_on)}


def note(root: Path, results: dict[str, Any], names: Sequence[str]) -> str:
    """One sentence for each commit at which the benchmarks `names` were measured.

    >>> note(Path("."), {"speed": {"measured": {"before": "3ff31a5"}}}, ["speed"])
    'Measured before 3ff31a5 (speed); the code has changed since.'
    """
    groups: dict[tuple[str, bool], list[str]] = {}
    chosen: set[str] = set()
    for name in names:
        about = results[name]["measured"]
        when = f"before {about['before']}" if "before" in about else f"at {about['commit']}"
        stale = "before" in about or digest(root, about["paths"]) != about["digest"]
        groups.setdefault((when, stale), []).append(name)
        chosen |= set(about.get("chosen_on", ()))
    sentences = [
        f"Measured {when} ({', '.join(group)}){'; the code has changed since' if stale else ''}."
        for (when, stale), group in groups.items()
    ]
    if chosen:
        files = ", ".join(f"`{name}`" for name in sorted(chosen))
        sentences.append(f"Constants of the code were chosen on {files}.")
    return " ".join(sentences)
