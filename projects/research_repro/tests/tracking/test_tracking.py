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
    result = {"bleu": 54.1, "curve": [1, 2], "best": True, "loss": math.nan, "by": {"φ(1, 8)": 0.5}}
    cell = {"name": "lora", "settings": {"rank": 4, "optimizer": {"lr": 0.001}}, "seconds": 2.5}
    return Outcome(
        paper="toy",
        version=3,
        scale="smoke",
        seeds=[0, 1],
        seconds=9.5,
        cells={f"lora-seed{n}": cell | {"seed": n, "result": result} for n in (0, 1)},
        verdicts=[
            verdict("rank", 0.5, True),
            verdict("speed", 3.0, False),
            verdict("x", None, None),
        ],
        about={
            "commit": "5db2-dirty",
            "cpu": "A CPU",
            "versions": {"torch": "2.13"},
            "failed": {"a": "x" * 9000},
        },
    )


@pytest.mark.slow
def test_log_outcome_logs_claims_cells_facts_and_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run_id = log_outcome(outcome(), tmp_path)
    client = open_client(tmp_path)
    run = client.get_run(str(run_id))
    assert (run.info.run_name, run.info.status) == ("toy-smoke", "FINISHED")
    assert client.get_experiment(run.info.experiment_id).name == "research_repro"
    assert run.data.params == {"paper": "toy", "scale": "smoke", "version": "3", "seeds": "[0, 1]"}
    assert run.data.metrics == {
        "seconds": 9.5,
        "rank": 0.5,
        "rank.holds": 1,
        "speed": 3,
        "speed.holds": 0,
    }
    tags = run.data.tags
    assert (tags["mlflow.source.git.commit"], tags["commit"]) == ("5db2", "5db2-dirty")
    assert (tags["cpu"], tags["versions.torch"]) == ("A CPU", "2.13")

    query = f"tags.mlflow.parentRunId = '{run_id}'"
    cells = client.search_runs([run.info.experiment_id], query, order_by=["attributes.run_name"])
    assert [cell.info.run_name for cell in cells] == ["lora-seed0", "lora-seed1"]
    assert cells[1].data.metrics == {"seconds": 2.5, "bleu": 54.1, "best": 1, "by.φ_1_ 8_": 0.5}
    assert cells[1].data.params == {
        "cell": "lora",
        "seed": "1",
        "rank": "4",
        "optimizer.lr": "0.001",
    }
    (file,) = tmp_path.joinpath("mlartifacts").rglob("toy-smoke.json")
    assert json.loads(file.read_text("utf-8"))["cells"]["lora-seed0"]["result"]["loss"] == "NaN"


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
