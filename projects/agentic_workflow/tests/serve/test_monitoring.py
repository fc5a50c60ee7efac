"""The dashboard and the alert rules of the desk use metrics that it has."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from fastapi.testclient import TestClient

from agentic_workflow.config import Config
from agentic_workflow.serve.api import create_app
from seedbed.settings import Settings
from seedbed.testing.launch import require_program

DOCKER = Path(__file__).parents[4] / "docker"
RULES = DOCKER / "rules/agentic_workflow.yaml"
TEST = DOCKER / "rules/agentic_workflow_test.yaml"
PANELS = json.loads((DOCKER / "grafana/agentic_workflow.json").read_text("utf-8"))["panels"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]


def alerts() -> list[dict[str, str]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_dashboard_and_alerts_use_metrics_that_exist(tmp_path: Path) -> None:
    with TestClient(create_app(Config(data_dir=tmp_path), Settings())) as client:
        text = client.get("/metrics").text
    metrics = set(re.findall(r"^# TYPE (workflow_\w+)", text, re.MULTILINE))
    queries = " ".join(QUERIES)
    assert set(re.findall(r"workflow_\w+", queries)) == metrics
    conditions = " ".join(rule["expr"] for rule in alerts())
    assert set(re.findall(r"workflow_\w+", conditions)) < metrics


@pytest.mark.parametrize("part", ["alerts", "dashboard"])
def test_prometheus_accepts_the_queries(part: str, tmp_path: Path) -> None:
    promtool = require_program("promtool", "apt-get install prometheus")
    command = [promtool, "test", "rules", str(TEST)]
    if part == "dashboard":
        rules = [{"record": f"q{n}", "expr": query} for n, query in enumerate(QUERIES)]
        path = tmp_path / "rules.yaml"
        path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
        command = [promtool, "check", "rules", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
