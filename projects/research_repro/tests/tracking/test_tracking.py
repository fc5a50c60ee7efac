"""Outcomes in a real MLflow store (SQLite), and without one."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest

from research_repro.paper import Verdict
from research_repro.results import Outcome
from research_repro.tracking import log_outcome
from seedbed.runs.tracking import open_client

pytestmark = pytest.mark.timeout(300)  # MLflow's import and its first tables take seconds


def verdict(id_: str, measured: float | None, holds: bool | None) -> Verdict:
    values = () if measured is None else (measured,)
    fields = (id_, "Table 1", "It is small.", "0", measured, None, values, "≤ 2", "", holds, True)
    return Verdict(*fields)


def outcome() -> Outcome:
    cell = {"name": "a", "settings": {}, "seconds": 2.5, "result": {"loss": math.nan}, "seed": 0}
    return Outcome(
        paper="toy",
        scale="smoke",
        seeds=[0, 1],
        cells={"a-seed0": cell | {"origin": {}}, "a-seed1": cell | {"origin": {"commit": "17ab"}}},
        verdicts=[verdict("rank", 0.5, True), verdict("x", None, None)],
        judged={"commit": "5db2-dirty", "time": "2026-11-27T14:05:10+00:00"},
    )


@pytest.mark.slow
def test_log_outcome_logs_claims_commits_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_id = log_outcome(outcome(), tmp_path)
    client = open_client(tmp_path)
    run = client.get_run(str(run_id))
    assert (run.info.run_name, run.info.status) == ("toy-smoke", "FINISHED")
    assert client.get_experiment(run.info.experiment_id).name == "research_repro"
    assert run.data.params == {"paper": "toy", "scale": "smoke", "seeds": "[0, 1]"}
    assert run.data.metrics == {"seconds": 5.0, "rank": 0.5, "rank.holds": 1}
    assert run.data.tags["mlflow.source.git.commit"] == "5db2"
    assert run.data.tags["cells.commits"] == "17ab, not recorded"
    (file,) = tmp_path.joinpath("mlartifacts").rglob("toy-smoke.json")
    assert json.loads(file.read_text("utf-8"))["judged"]["commit"] == "5db2-dirty"


@pytest.mark.parametrize("uri", ["sqlite:////dev/null/x.db", "http://127.0.0.1:9", "nonsense://x"])
def test_log_outcome_without_a_store_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with caplog.at_level(logging.WARNING, logger="research_repro"):
        assert log_outcome(outcome(), tmp_path) is None
    (record,) = caplog.records
    assert record.getMessage().startswith("Cannot log this run to MLflow: ")
    assert "\n" not in record.getMessage()
