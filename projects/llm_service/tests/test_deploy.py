"""What surrounds the service fits it and itself: dashboard, alerts, compose, manifests, units."""

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from llm_service.config import Config
from llm_service.models.table import Table
from llm_service.request import Facts
from llm_service.store.accounting import Record
from seedbed.settings import Settings
from seedbed.testing.launch import require_program

PROJECT = Path(__file__).parents[1]
KUBERNETES = PROJECT / "deploy/kubernetes"
DOCKER = Path(__file__).parents[3] / "docker"
DOCKERFILE = PROJECT / "Dockerfile"
PORT = 8004
BUILT_IN = ("configmap", "deployment", "hpa", "pdb", "service")
# What Prometheus adds to each series that it scrapes.
ADDED = {"job", "instance", "namespace", "pod", "le"}


def manifest(name):
    return yaml.safe_load((KUBERNETES / f"{name}.yaml").read_text("utf-8"))


def container(name="deployment"):
    return manifest(name)["spec"]["template"]["spec"]["containers"][0]


# Metrics that exist, and who asks for them


@pytest.fixture
async def known(served):
    """{sample name: its labels} of every metric, each of them counted once."""
    gateway = served.gateway
    about = {"model": "echo", "model_used": "echo", "stream": True, "first_token": 0.1}
    about |= {"prompt_tokens": 1, "completion_tokens": 1, "cached_tokens": 1, "cache": "hit"}
    record = Record("r", "chatcmpl-1", datetime.now(UTC), "k", cost_usd=1.0, **about)
    failed = [("echo", "timeout"), ("echo", "timeout"), ("vectors", "timeout")]
    facts = Facts(failed=failed, attempts=4, model_used="echo", decisions=["pii_in:redacted:1"])
    gateway.metrics.record(record, facts, 0.001, "budget")
    gateway.metrics.time_per_token("echo", 0.1)
    gateway.metrics.feedback("up")
    served.keys.create("ada", budget_usd=1.0)
    gateway.pool.memory = lambda: {"echo": 1}
    gateway.pool.local = lambda: iter([SimpleNamespace(name="echo")])
    families = text_string_to_metric_families(generate_latest(served.registry).decode())
    return {s.name: set(s.labels) for family in families for s in family.samples}


def wrong(expression, known):
    """Metrics and labels in a query that nothing makes."""
    names = re.findall(r"\bllm_\w+", expression)
    found = [name for name in names if name not in known]
    for name, selector in re.findall(r"\b(llm_\w+)\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector):
            if label not in known.get(name, set()) | ADDED:
                found.append(f"{name}{{{label}}}")
    labels = ADDED.union(*(known.get(name, set()) for name in names))
    for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", expression):
        found += [label for label in re.split(r",\s*", grouped) if label not in labels]
    return found


def dashboard():
    return json.loads((DOCKER / "grafana/llm_service.json").read_text("utf-8"))


def rules():
    text = (DOCKER / "rules/llm_service.yaml").read_text("utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def test_the_dashboard_asks_for_metrics_that_exist(known):
    panels = dashboard()["panels"]
    asked = {p["title"]: [t["expr"] for t in p["targets"]] for p in panels if p["type"] != "row"}
    bad = {title: wrong(expr, known) for title, exprs in asked.items() for expr in exprs}
    assert {title: found for title, found in bad.items() if found} == {}
    shown = set(re.findall(r"\bllm_\w+", json.dumps(asked)))
    base = {re.sub(r"_(bucket|sum|count|created)$", "", name) for name in known}
    base = {name for name in base if f"{name}_total" not in known}  # their _created, without _total
    missing = base - {re.sub(r"_bucket$", "", name) for name in shown}
    assert missing == set(), "a metric that no panel shows"


def test_the_alerts_ask_for_metrics_that_exist_and_say_what_to_do(known):
    bad = {rule["alert"]: wrong(rule["expr"], known) for rule in rules()}
    assert {name: found for name, found in bad.items() if found} == {}
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"]


def test_every_alert_is_tried_out_both_ways():
    tests = yaml.safe_load((DOCKER / "rules/llm_service_test.yaml").read_text("utf-8"))["tests"]
    tried = [rule for test in tests for rule in test["alert_rule_test"]]
    names = {rule["alert"] for rule in rules()}
    assert {rule["alertname"] for rule in tried if rule["exp_alerts"]} == names
    assert {rule["alertname"] for rule in tried if not rule["exp_alerts"]} == names


def promtool(*words):
    program = require_program("promtool", "apt-get install prometheus")
    return subprocess.run(
        [program, *words], cwd=DOCKER, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_alerts_fire():
    done = promtool("test", "rules", "rules/llm_service_test.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_can_read_every_query_of_the_dashboard(tmp_path):
    targets = [t for panel in dashboard()["panels"] for t in panel.get("targets", ())]
    known = {"$__rate_interval": "5m", "$model": ".*"}
    queries = [re.sub(r"\$\w+", lambda m: known[m[0]], target["expr"]) for target in targets]
    named = [{"record": f"q{n}", "expr": query} for n, query in enumerate(queries)]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": named}]}), "utf-8")
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(queries)} rules found" in done.stdout


# Kubernetes


@pytest.mark.parametrize("name", BUILT_IN)
def test_kubernetes_client_reads_a_manifest_and_knows_every_field(name):
    api, found = pytest.importorskip("kubernetes.client").ApiClient(), manifest(name)
    kind = found["apiVersion"].rpartition("/")[2].upper() + found["kind"]
    model = api.deserialize(json.dumps(found), kind, "application/json")
    assert api.sanitize_for_serialization(model) == found


@pytest.mark.slow
def test_ray_serve_reads_its_configuration_and_finds_the_application():
    schema = pytest.importorskip("ray.serve.schema", reason="the extra `ray` is not installed")
    ray = pytest.importorskip("ray")
    found = manifest("rayservice")["spec"]
    config = schema.ServeDeploySchema.model_validate(yaml.safe_load(found["serveConfigV2"]))
    assert config.http_options.port == PORT and config.applications[0].route_prefix == "/"
    assert found["rayClusterConfig"]["rayVersion"] == ray.__version__
    module, _, name = config.applications[0].import_path.partition(":")
    assert callable(getattr(__import__(module, fromlist=[name]), name))


def test_pods_scale_by_a_metric_that_exists_and_that_the_adapter_serves(known):
    asked = manifest("hpa")["spec"]["metrics"][0]["pods"]["metric"]["name"]
    rule = manifest("prometheus-adapter.values")["rules"]["custom"][0]
    assert asked == rule["name"]["as"] and rule["seriesQuery"].startswith(f"{asked}{{")
    assert known[asked] == set(), "one value a pod, or the adapter adds series up"


def test_the_settings_in_the_manifests_are_settings(tmp_path):
    ray = manifest("rayservice")["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["spec"]
    sets = [container()["env"], ray["containers"][0]["env"]]
    names = {entry["name"] for entries in sets for entry in entries}
    prefix = Config.model_config["env_prefix"]
    known = {f"{prefix}{name.upper()}" for name in Config.model_fields}
    known |= {f"SEEDBED_{name.upper()}" for name in Settings.model_fields}
    assert names - known == {"RAY_USAGE_STATS_ENABLED"}
    path = tmp_path / "models.toml"
    path.write_text(manifest("configmap")["data"]["models.toml"], "utf-8")
    assert list(Table.load(path, Settings(api_keys="")).models) == ["smollm2"]
    mounts = {m["name"]: m["mountPath"] for m in container()["volumeMounts"]}
    values = {e["name"]: e.get("value") for e in container()["env"]}
    assert values["SERVICE_MODELS"] == f"{mounts['models']}/models.toml"
    assert values["SERVICE_DATA_DIR"] == mounts["data"]
