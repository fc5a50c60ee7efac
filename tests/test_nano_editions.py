"""The editions of one file: short, independent of their projects, and one of them a notebook."""

import ast
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(ROOT.glob("projects/*/nano.py"))
PROJECTS = {file.parent.name for file in ROOT.glob("projects/*/pyproject.toml")}
LOADERS = {
    "seedbed.models.load",
    "seedbed.models.embeddings.load_embeddings",
    "seedbed.models.weights.hf_folder",
}
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)


def test_every_project_has_an_edition_and_a_price_list() -> None:
    page = (ROOT / "docs/how-to/build-it-yourself.md").read_text("utf-8")
    assert {file.parent.name for file in FILES} == PROJECTS
    assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == PROJECTS


@each_file
def test_edition_is_short_and_imports_loaders_alone(file: Path) -> None:
    text = file.read_text("utf-8")
    assert len(text.splitlines()) <= 300
    nodes = list(ast.walk(ast.parse(text)))
    modules = {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}
    modules |= {alias.name for n in nodes if isinstance(n, ast.Import) for alias in n.names}
    own = {module for module in modules if module.partition(".")[0] in {"seedbed", *PROJECTS}}
    assert own <= LOADERS


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cells_of_the_notebook_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jupytext = pytest.importorskip("jupytext")
    monkeypatch.setenv("NANO_DATA", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    text = (ROOT / "projects/research_repro/nano.py").read_text("utf-8")
    assert "SEEDS = tuple(range(10))" in text
    text = text.replace("SEEDS = tuple(range(10))", "SEEDS = (0, 1, 2)")
    cells = jupytext.reads(text, fmt="py:percent").cells
    assert [cell.cell_type for cell in cells[:2]] == ["markdown", "code"]
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))  # as in a notebook
    variables: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        if cell.cell_type == "code":
            exec(cell.source, variables)
    assert "holds" in capsys.readouterr().out
    assert variables["plt"].get_fignums()
    variables["plt"].close("all")
