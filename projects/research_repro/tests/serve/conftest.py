"""An app over the paper `toy` and an empty data folder."""

from __future__ import annotations

import json

import pytest
from fastapi.testclient import TestClient

from research_repro.config import Config
from research_repro.paper import Results, judge
from research_repro.results import Outcome, write_outcome
from research_repro.serve.app import create_app
from seedbed.settings import Settings


@pytest.fixture
def config(tmp_path, papers_dir, monkeypatch):
    # A store that MLflow does not have: runs are not logged, which costs a warning and no time.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "none://")
    return Config(data_dir=tmp_path / "var", papers_dir=papers_dir, processes=1)


@pytest.fixture
def make_app(config):
    return lambda **options: create_app(config, Settings(api_keys=""), **options)


@pytest.fixture
def client(make_app):
    with TestClient(make_app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def store(config, toy):
    """Writes results of the paper `toy` as if it had been run."""

    def write(scale="smoke", **about):
        row = {"slope": 2.0, "loss": 0.1}
        by_cell = {("fit", 0): row, ("again", 0): row}
        cells = {
            f"{name}-seed{seed}": {
                "name": name,
                "seed": seed,
                "settings": {},
                "result": row,
                "seconds": 1.0,
            }
            for name, seed in by_cell
        }
        verdicts = [judge(claim, Results(by_cell), scale) for claim in toy.claims]
        outcome = Outcome("toy", toy.version, scale, [0], 2.0, cells, verdicts, about)
        path = config.data_dir / "results" / f"toy-{scale}.json"
        write_outcome(path, outcome)
        return path

    return write


@pytest.fixture
def interrupted(config):
    """Writes the file of a run whose server was killed."""
    run = {"paper": "toy", "scale": "smoke", "seeds": [0]}
    run |= {"cells": {"fit-seed0": "finished", "again-seed0": "step 3 of 40"}}
    config.data_dir.mkdir(parents=True)
    (config.data_dir / "last_run.json").write_text(json.dumps(run), "utf-8")


@pytest.fixture
def held(config):
    """A file that keeps the cells of the paper `toy` at smoke scale waiting while it exists."""
    path = config.data_dir / "runs" / "toy-smoke" / "wait"
    path.parent.mkdir(parents=True)
    path.touch()
    return path
