"""Intervals against hand calculation and the papers; reports; their MLflow runs."""

import json
from pathlib import Path

import pytest

from seedbed.errors import BadInput, ConfigError
from seedbed.runs.evaluation import (
    Figure,
    Report,
    log_to_mlflow,
    newcombe_interval,
    paired_bootstrap,
    quantile,
    wilson_interval,
)
from seedbed.runs.tracking import mlflow_client, mlflow_experiment


def test_wilson_interval_equals_published_examples():
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson_interval(0, 0) == (0, 1)
    with pytest.raises(BadInput, match="from 0 to n=2, not 3"):
        wilson_interval(3, 2)


def test_newcombe_interval_equals_published_example():
    # Newcombe 1998, table II, method 10: 56 of 70 against 48 of 80.
    assert newcombe_interval((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert newcombe_interval((0, 0), (3, 4)) == (-1, 1)


def test_quantile_is_one_of_the_values():
    for values, share in (([], 0.5), ([1.0], 95)):
        with pytest.raises(BadInput, match=r"at least one value|from 0 to 1"):
            quantile(values, share)
    hundred = [n / 100 for n in range(100)]
    assert [quantile(hundred, share) for share in (0, 0.5, 0.95, 0.99, 1)] == [
        *(0, 0.5, 0.95, 0.99, 0.99)
    ]


def test_bootstrap_detects_a_real_difference_and_no_false_one():
    better = [0.6 + 0.01 * (i % 7) for i in range(60)]
    worse = [0.5 + 0.01 * (i % 5) for i in range(60)]
    difference = paired_bootstrap(better, worse)
    assert difference.low < difference.difference < difference.high
    assert difference.significant and difference.low > 0
    assert paired_bootstrap(better, better).difference == 0
    noise = [(-1) ** i for i in range(60)]
    assert not paired_bootstrap(noise, [0] * 60, n=2000).significant
    with pytest.raises(BadInput, match="same cases"):
        paired_bootstrap([1.0], [1.0, 2.0])


def report(scores=(1, 0, 1)) -> Report:
    cases = [{"id": f"q{i}", "correct": score} for i, score in enumerate(scores)]
    figures = {
        "accuracy": Figure.share(sum(scores), len(scores)),
        "latency": Figure(0.25, len(scores), unit="s"),
    }
    return Report("demo", figures, cases, {"model": "smollm2"})


def test_report_has_its_cases_and_a_table_with_n_and_interval():
    assert json.loads(report().to_json())["cases"][1] == {"id": "q1", "correct": 0}
    low, high = wilson_interval(2, 3)
    lines = report().to_markdown().splitlines()
    assert f"| accuracy | 0.667 | {low:.3f} to {high:.3f} | 3 |" in lines
    assert "| latency | 0.250 s | – | 3 |" in lines
    assert "- model: smollm2" in lines


@pytest.fixture
def store(monkeypatch, tmp_path):
    """A folder as MLflow's store, which needs neither a server nor a database."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return mlflow_client()


def test_log_to_mlflow_logs_everything_and_no_global_run(store):
    import mlflow

    run = store.get_run(log_to_mlflow(report(), "ours"))
    assert (run.info.status, run.info.run_name) == ("FINISHED", "demo")
    assert run.data.params == {"model": "smollm2"}
    assert run.data.metrics == {"accuracy": pytest.approx(2 / 3), "latency": 0.25}
    assert store.get_experiment(run.info.experiment_id).name == "ours"
    assert run.data.tags["mlflow.source.name"]
    assert [file.path for file in store.list_artifacts(run.info.run_id)] == ["report.json"]
    assert mlflow.active_run() is None


def test_mlflow_experiment_of_a_local_store_puts_artifacts_into_the_folder(store, monkeypatch):
    server = store.get_experiment(mlflow_experiment(store, "server", Path("/data")))
    assert server.artifact_location != "file:///data/mlartifacts"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    local = store.get_experiment(mlflow_experiment(store, "local", Path("/data")))
    assert local.artifact_location == "file:///data/mlartifacts"


def test_log_to_mlflow_marks_the_run_of_a_refused_report_as_failed(store):
    broken = Report("demo", {}, about={"model?": "smollm2"})  # not a name of a parameter
    with pytest.raises(ConfigError, match="MLflow refused the report") as caught:
        log_to_mlflow(broken)
    assert "\n" not in str(caught.value)
    (run,) = store.search_runs([mlflow_experiment(store, "seedbed")])
    assert run.info.status == "FAILED"
