"""The papers: one folder each, which defines PAPER. Your own are found in RESEARCH_PAPERS_DIR.

    paper = find_paper("ddim", Path("papers"))

A folder has the paper's method, cells, claims, figures and published results, and nothing outside
of it names the paper: delete it, and the others work as before.
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from pathlib import Path

from research_repro.paper import Paper
from seedbed.errors import BadInput, NotFound, public_message


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
        hint = "`research-repro new` writes a folder that does."
        raise BadInput(f"The paper {name!r} does not define PAPER.", hint=hint)
    return paper


def load_papers(papers_dir: Path) -> tuple[list[Paper], list[str]]:
    """All papers, those of this package first, the newest first; and why others cannot be loaded.

    The first one is what `demo` and `serve` run.
    """
    papers, problems = [], []
    for name in paper_names(papers_dir):
        try:
            papers.append(find_paper(name, papers_dir))
        except Exception as error:  # the user's own code; the other papers do not need it
            log = logging.getLogger(__name__)
            problems.append(f"{name} cannot be loaded: {public_message(error, log)}")
    here = Path(__file__).parent
    return sorted(papers, key=lambda p: (p.folder.parent != here, -p.year)), problems


def _add_folder(papers_dir: Path) -> None:
    folder = str(papers_dir.expanduser().absolute())
    if folder not in __path__ and Path(folder).is_dir():
        __path__.append(folder)
        importlib.invalidate_caches()
