"""Helpers for projects that train: quiet libraries, facts about a run, plots of its results.

    quiet()                            # quick, for commands
    about = {"commit": git_commit(Path(__file__).parent), **describe_environment(["torch"])}
    figure, axes = new_figure(height=5)
    path.write_bytes(to_png(figure))   # threads may draw at once, and nothing needs to be closed

Projects that use it require psutil and matplotlib.
"""

from __future__ import annotations

import io
import logging
import os
import platform
import subprocess
import threading
import warnings
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LIBRARIES = (
    *("torch", "transformers", "peft", "accelerate", "huggingface_hub", "datasets"),
    *("mlflow", "matplotlib"),
)
# Text stays text, which is smaller and searchable; equal figures get equal files.
_SVG: Any = {"svg.fonttype": "none", "svg.hashsalt": "seedbed"}
_settings_lock = threading.Lock()  # matplotlib's settings are global


def quiet() -> None:
    """Set these libraries to log errors only, whether or not they are imported yet."""
    # They read these when imported; a variable that is already set wins.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # the bars that transformers has no switch for
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.ERROR)
        # A warning is attributed to the module that calls, which may be any of theirs.
        warnings.filterwarnings("ignore", module=rf"{name}(\.|$)")
    warnings.filterwarnings("ignore", message=".*Add type hints to the `predict` method")  # MLflow


def quiet_loading() -> None:
    """Like `quiet`, and without bars while weights are read and written; imports transformers."""
    quiet()
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def describe_environment(libraries: Iterable[str]) -> dict[str, Any]:
    """The versions of the libraries, Python, platform and hardware; `memory` is in bytes."""
    versions = {}
    for name in libraries:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "versions": versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory": total_memory(),
    }


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def total_memory() -> int:
    """Bytes of memory of this machine, or the limit of the container if that is lower."""
    import psutil

    total = int(psutil.virtual_memory().total)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        limit = Path("/sys/fs/cgroup", name)
        if limit.exists() and limit.read_text().strip().isdigit():
            total = min(total, int(limit.read_text()))
    return total


def git_commit(folder: Path) -> str | None:
    """The commit checked out around `folder`; None outside git.

    It ends in `-dirty` if tracked files differ, or if the folder contains files that are not
    tracked: the commit then lacks some of the code. Results, in folders `published`, do not count.
    """
    code = ":(top,exclude,glob)**/published/**"

    def git(*words: str) -> str:
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()

    with suppress(OSError, subprocess.SubprocessError):
        commit = git("describe", "--always", "--abbrev=40", "--exclude=*")
        changed = git("diff", "--name-only", "HEAD", "--", ":/", code)
        untracked = git("ls-files", "--others", "--exclude-standard", "--", ".", code)
        return f"{commit}-dirty" if commit and (changed or untracked) else commit or None
    return None


def new_figure(
    width: float = 10.0, height: float = 4.0, rows: int = 1, columns: int = 1
) -> tuple[Figure, Any]:
    """A figure of `width` × `height` inches, and its axes: an array if there are several."""
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=100, layout="constrained")
    return figure, figure.subplots(rows, columns)


def to_png(figure: Figure) -> bytes:
    """The figure as PNG with 100 pixels per inch."""
    return _save(figure, "png")


def to_svg(figure: Figure) -> str:
    """The figure as an `<svg>` element, without the XML header, so that HTML can contain it."""
    from matplotlib import rc_context

    with _settings_lock, rc_context(_SVG):
        text = _save(figure, "svg", metadata={"Date": None}).decode()
    return text[text.index("<svg") :]


def _save(figure: Figure, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # characters that the font lacks are drawn as boxes
        figure.savefig(out, format=form, **options)
    return out.getvalue()
