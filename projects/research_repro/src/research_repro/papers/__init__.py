"""The papers: one sub-package each, which defines PAPER. Your own are found in RESEARCH_PAPERS_DIR.

paper = find_paper("lora", Path("papers"))
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from research_repro.paper import Paper
from seedbed.errors import BadInput, NotFound


def paper_names(papers_dir: Path) -> list[str]:
    """The names of all papers: those of this package first, then those in `papers_dir`."""
    _add_folder(papers_dir)
    return list(dict.fromkeys(module.name for module in pkgutil.iter_modules(__path__)))


def find_paper(name: str, papers_dir: Path) -> Paper:
    """A paper by its name. Raises NotFound, or BadInput if its package does not define PAPER."""
    names = paper_names(papers_dir)
    if name not in names:
        raise NotFound(f"Unknown paper {name!r}.", hint=f"Available papers: {', '.join(names)}.")
    paper = getattr(importlib.import_module(f"{__name__}.{name}"), "PAPER", None)
    if not isinstance(paper, Paper):
        raise BadInput(f"The paper {name!r} does not define PAPER.", hint="See papers/lora.")
    return paper


def _add_folder(papers_dir: Path) -> None:
    folder = str(papers_dir.expanduser().absolute())
    if folder not in __path__ and Path(folder).is_dir():
        __path__.append(folder)
        importlib.invalidate_caches()
