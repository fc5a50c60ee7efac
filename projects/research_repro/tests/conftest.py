"""A toy paper: its cells fit a line by gradient descent in a fraction of a second."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from research_repro import papers
from research_repro.paper import Paper
from research_repro.papers import find_paper

TOY = '''
"""Fits y = 2 x + 1. Settings of a cell that tests use: steps, fail, missing."""

import os
import signal
import sys
import time
from pathlib import Path

import torch

from research_repro.paper import Cell, Claim, Paper, at_most, within
from seedbed.errors import BadInput


def run_cell(cell, workspace):
    settings = cell.settings
    if "missing" in settings:
        raise BadInput(f"{settings['missing']} is missing.", hint="See the README.")
    if settings.get("fail"):
        raise RuntimeError(settings["fail"])
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for step in workspace.steps(cell, settings["steps"], model=model, optimizer=optimizer):
        kill = workspace.folder / f"kill-{cell.id}"  # the step at which the process dies
        if kill.exists() and step == int(kill.read_text()):
            kill.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        while (workspace.folder / "wait").exists():
            (workspace.folder / f"waits-{cell.id}").touch()
            time.sleep(0.01)
        generator = torch.Generator().manual_seed(1000 * cell.seed + step)
        x = torch.randn(8, 1, generator=generator)
        loss = torch.nn.functional.mse_loss(torch.nn.functional.dropout(model(x), 0.01), 2 * x + 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("a line that must not get into the JSON of a command")
    return {
        "slope": model.weight.item(),
        "loss": loss.item(),
        "process": os.getpid(),
        "threads": torch.get_num_threads(),
    }


def cells(scale, seeds):
    steps = 40 if scale == "smoke" else 60
    return [Cell(name, seed, {"steps": steps}) for seed in seeds for name in ("fit", "again")]


PAPER = Paper(
    folder=Path(__file__).parent,
    name="toy",
    title="Fitting a Line",
    authors="A. Legendre",
    year=1805,
    url="https://example.org/line",
    summary="A line is fitted to noise-free points.",
    claims=(
        Claim(
            id="slope",
            source="Table 1",
            statement="The slope is 2.",
            expected="2.0",
            measure=lambda results: [row["slope"] for row in results.of("fit")],
            tolerance=within(1.5, 2.5),
        ),
        Claim(
            id="loss",
            source="Table 2",
            statement="Nothing is left of the loss.",
            expected="0",
            measure=lambda results: [row["loss"] for row, _ in results.pairs("fit", "again")],
            tolerance=at_most(1),
            tested_at=("smoke",),
        ),
    ),
    cells=cells,
    run_cell=run_cell,
    seeds={"smoke": [0, 1], "laptop": [0, 1, 2]},
)
'''


@pytest.fixture
def papers_dir(tmp_path: Path) -> Iterator[Path]:
    """A folder with the paper `toy`, as `RESEARCH_PAPERS_DIR`."""
    folder = tmp_path / "papers"
    (folder / "toy").mkdir(parents=True)
    (folder / "toy" / "__init__.py").write_text(TOY, "utf-8")
    yield folder
    papers.__path__[:] = [path for path in papers.__path__ if path != str(folder)]
    sys.modules.pop("research_repro.papers.toy", None)


@pytest.fixture
def toy(papers_dir: Path) -> Paper:
    """The paper `toy`."""
    return find_paper("toy", papers_dir)
