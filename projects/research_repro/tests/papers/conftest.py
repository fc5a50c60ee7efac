"""Only papers that are here are tested; and a copy of a paper with a mistake."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from research_repro import papers
from research_repro.paper import Paper, Results, judge
from research_repro.papers import find_paper

_here, _folders = Path(papers.__file__).parent, Path(__file__).parent.glob("*/")
collect_ignore = [f.name for f in _folders if not (_here / f.name / "__init__.py").exists()]
RedClaims = Callable[..., set[str]]


@pytest.fixture
def red_claims(tmp_path: Path) -> Iterator[RedClaims]:
    """red_claims(paper, old, new, measure): the claims that fail with this change of method.py.

    `measure` gets an importer of the copy's modules and returns results by cell. `only` names the
    claim that these results decide.
    """
    search_path = list(papers.__path__)

    def change(
        paper: Paper,
        old: str,
        new: str,
        measure: Callable[[Any], dict[str, Any]],
        only: str | None = None,
    ) -> set[str]:
        folder = tmp_path / "papers" / "wrong"
        shutil.copytree(paper.folder, folder, ignore=shutil.ignore_patterns("published", "__py*"))
        for path in folder.glob("*.py"):
            text = path.read_text("utf-8").replace(f"papers.{paper.name}", "papers.wrong")
            if path.name == "method.py":
                assert text.count(old) == 1, old
                text = text.replace(old, new)
            path.write_text(text.replace(f'name="{paper.name}"', 'name="wrong"'), "utf-8")
        wrong = find_paper("wrong", folder.parent)
        cells = measure(lambda name: importlib.import_module(f"{papers.__name__}.wrong.{name}"))
        results = Results({(name, 0): result for name, result in cells.items()})
        claims = [claim for claim in wrong.claims if only in (None, claim.id)]
        verdicts = [judge(claim, results, "smoke") for claim in claims]
        return {verdict.id for verdict in verdicts if verdict.holds is False}

    yield change
    papers.__path__[:] = search_path
    for name in [name for name in sys.modules if f"{papers.__name__}.wrong" in name]:
        del sys.modules[name]
