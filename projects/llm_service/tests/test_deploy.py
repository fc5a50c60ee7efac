"""What surrounds the service fits it and itself: dashboard, alerts, compose, manifests, units."""

import json
import re
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from llm_service.config import Config
from llm_service.gateway.cache.answer_cache import AnswerCache
from llm_service.gateway.routing.breaker import Breaker
from llm_service.models.table import Table
from llm_service.observe.metrics import Metrics
from llm_service.request import Load
from llm_service.web.live_gauges import LiveGauges
from seedbed.settings import Settings
from seedbed.testing.launch import require_program

PROJECT = Path(__file__).parents[1]
DEPLOY = PROJECT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
DOCKER = Path(__file__).parents[3] / "docker"
DOCKERFILE = PROJECT / "Dockerfile"
PORT = 8004
BUILT_IN = ("configmap", "deployment", "hpa", "pdb", "service")
# What Prometheus adds to each series that it scrapes.
ADDED = {"job", "instance", "namespace", "pod", "le"}
with_compose = pytest.mark.skipif(
    not (DOCKER / "compose.yaml").exists(), reason="it stays behind when the project is lifted out"
)


def manifest(name):
    return yaml.safe_load((KUBERNETES / f"{name}.yaml").read_text("utf-8"))


def container(name="deployment"):
    return manifest(name)["spec"]["template"]["spec"]["containers"][0]


# Metrics that exist, and who asks for them


@pytest.fixture(scope="module")
def known():
    """{sample name: its labels} of every metric, each of them counted once."""
    registry = CollectorRegistry(auto_describe=True)
    metrics = Metrics(registry)
    metrics.set_models(["m"])
    record = {"request_id": "r", "model": "m", "model_used": "m", "kind": "chat", "outcome": "ok"}
    record |= {"prompt_tokens": 1, "completion_tokens": 1, "cached_tokens": 1, "cost_usd": 1.0}
    metrics.request(SimpleNamespace(**record, seconds=1.0, cache="hit"))
    metrics.first_token("m", 0.1)
    metrics.time_per_token("m", 0.1)
    metrics.overhead(0.001)
    metrics.decision("pii_in:redacted")
    metrics.refused("budget")
    metrics.attempt("m")
    metrics.retry("m")
    metrics.fallback("m", "m")
    metrics.feedback("up")
    backend = SimpleNamespace(load=Load())
    slot = SimpleNamespace(name="m", model="m", backend=backend, breaker=Breaker())
    gateway = SimpleNamespace(
        router=SimpleNamespace(replicas=lambda: [slot]),
        pool=SimpleNamespace(memory=lambda: {"m": 1}, local=lambda: [slot]),
        cache=AnswerCache(1, 1),
        accounting=SimpleNamespace(pending=0, failed_writes=0),
        admission=SimpleNamespace(budgets=SimpleNamespace(shares=lambda _: {"ada": 0.5})),
        config=SimpleNamespace(max_queue=64),
    )
    keys = SimpleNamespace(list=lambda: [SimpleNamespace(revoked=None)])
    registry.register(LiveGauges(gateway, keys))
    text = generate_latest(registry).decode()
    families = text_string_to_metric_families(text)
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


def test_a_panel_with_a_wrong_metric_or_label_would_be_found(known):
    assert wrong("rate(llm_request_total[5m])", known) == ["llm_request_total"]
    assert wrong('llm_cache_results_total{resutl="hit"}', known) == [
        "llm_cache_results_total{resutl}"
    ]
    assert wrong("sum by (modle) (llm_requests_running)", known) == ["modle"]


def test_the_dashboard_can_be_drawn():
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert len(rows) == 6


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["check", "config", "prometheus.yaml"], marks=with_compose),
        ["test", "rules", "rules/llm_service_test.yaml"],
    ],
    ids=["configuration", "alerts"],
)
def test_promtool_accepts_configuration_and_alerts_fire(words):
    promtool = require_program("promtool", "apt-get install prometheus")
    done = subprocess.run(
        [promtool, *words], cwd=DOCKER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_can_read_every_query_of_the_dashboard(tmp_path):
    promtool = require_program("promtool", "apt-get install prometheus")
    targets = [t for panel in dashboard()["panels"] for t in panel.get("targets", ())]
    known = {"$__rate_interval": "5m", "$model": ".*"}
    queries = [re.sub(r"\$\w+", lambda m: known[m[0]], target["expr"]) for target in targets]
    named = [{"record": f"q{n}", "expr": query} for n, query in enumerate(queries)]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": named}]}), "utf-8")
    done = subprocess.run(
        [promtool, "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(queries)} rules found" in done.stdout


@with_compose
def test_compose_starts_the_service_with_its_prometheus_and_grafana():
    services = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))["services"]
    service = services["service"]
    assert service["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert service["stop_grace_period"] == "40s" and service["read_only"]
    scraped = yaml.safe_load((DOCKER / "prometheus.yaml").read_text("utf-8"))["scrape_configs"]
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped}
    assert jobs["llm-service"] == [f"service:{PORT}"]
    for each in services.values():
        assert all(port.startswith("127.0.0.1:") for port in each["ports"])
        for volume in each.get("volumes", ()):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (DOCKER / source).exists(), source
    mounted = [volume.split(":")[1] for volume in services["grafana"]["volumes"]]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    provider = yaml.safe_load(
        (DOCKER / "grafana/provisioning/dashboards/files.yaml").read_text("utf-8")
    )["providers"][0]
    assert home in mounted and home.startswith(provider["options"]["path"])
    source = yaml.safe_load(
        (DOCKER / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8")
    )
    assert source["datasources"][0]["url"] == "http://prometheus:9090"


# Kubernetes


def is_accepted(found):
    """Whether Kubernetes' own client reads it, and knows every field."""
    kubernetes = pytest.importorskip("kubernetes.client")
    api = kubernetes.ApiClient()
    version = found["apiVersion"].rpartition("/")[2].upper()
    try:
        model = api.deserialize(json.dumps(found), version + found["kind"], "application/json")
    except (ValueError, AttributeError):
        return False
    return api.sanitize_for_serialization(model) == found


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_manifest_is_what_kubernetes_accepts(name):
    assert is_accepted(manifest(name))
    broken = manifest(name)
    broken["spec" if "spec" in broken else "data"] = {"replica": 1} if "spec" in broken else 1
    assert not is_accepted(broken)


def strict(required=(), **properties):
    """A JSON schema of an object that has nothing but these."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required or properties),
        "additionalProperties": False,
    }


TEXT, LABELS = {"type": "string"}, {"type": "object", "additionalProperties": {"type": "string"}}
COUNT = {"type": "integer", "minimum": 0}
META = strict(["name"], name=TEXT, labels=LABELS)
DURATION = {"type": "string", "pattern": r"^\d+(ms|s|m)$"}


def test_the_service_monitor_has_the_parts_of_its_definition():
    secret = strict(name=TEXT, key=TEXT)
    endpoint = strict(
        port=TEXT,
        path=TEXT,
        interval=DURATION,
        scrapeTimeout=DURATION,
        authorization=strict(type={"const": "Bearer"}, credentials=secret),
    )
    schema = strict(
        apiVersion={"const": "monitoring.coreos.com/v1"},
        kind={"const": "ServiceMonitor"},
        metadata=META,
        spec=strict(
            jobLabel=TEXT,
            selector=strict(matchLabels=LABELS),
            endpoints={"type": "array", "minItems": 1, "items": endpoint},
        ),
    )
    jsonschema.validate(manifest("servicemonitor"), schema)
    monitor = manifest("servicemonitor")["spec"]
    service = manifest("service")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in [p["name"] for p in service["spec"]["ports"]]
    # The alerts know the job by this name.
    assert service["metadata"]["labels"][monitor["jobLabel"]] == "llm-service"


def test_the_ray_service_has_the_parts_of_its_definition():
    params = {"type": "object", "additionalProperties": {"type": "string"}}
    template = strict(spec={"type": "object", "required": ["containers"]})
    worker = strict(
        groupName=TEXT,
        replicas=COUNT,
        minReplicas=COUNT,
        maxReplicas=COUNT,
        rayStartParams=params,
        template=template,
    )
    cluster = strict(
        rayVersion=TEXT,
        enableInTreeAutoscaling={"type": "boolean"},
        headGroupSpec=strict(rayStartParams=params, template=template),
        workerGroupSpecs={"type": "array", "items": worker},
    )
    schema = strict(
        apiVersion={"const": "ray.io/v1"},
        kind={"const": "RayService"},
        metadata=META,
        spec=strict(serveConfigV2=TEXT, rayClusterConfig=cluster),
    )
    found = manifest("rayservice")
    jsonschema.validate(found, schema)
    config = found["spec"]["rayClusterConfig"]
    group = config["workerGroupSpecs"][0]
    assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for template in (config["headGroupSpec"]["template"], group["template"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, **template}
        assert is_accepted(pod)
        ports = {p["name"]: p["containerPort"] for p in template["spec"]["containers"][0]["ports"]}
        assert ports["serve"] == PORT


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


def test_ports_paths_and_names_of_the_manifests_fit_each_other():
    labels = manifest("deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        manifest("deployment")["spec"]["selector"]["matchLabels"],
        manifest("service")["spec"]["selector"],
        manifest("pdb")["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector.items() <= labels.items() for selector in selectors)
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert ports == {"http": PORT}
    service = manifest("service")["spec"]["ports"][0]
    assert service["targetPort"] in ports and service["port"] == PORT
    probes = {probe: container()[f"{probe}Probe"]["httpGet"] for probe in ("liveness", "readiness")}
    assert probes["liveness"] == {"path": "/healthz", "port": "http"}
    assert probes["readiness"] == {"path": "/readyz", "port": "http"}
    target = manifest("hpa")["spec"]["scaleTargetRef"]
    deployment = manifest("deployment")
    assert (target["kind"], target["name"]) == (deployment["kind"], deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]
    applied = manifest("kustomization")["resources"]
    assert sorted(applied) == [f"{name}.yaml" for name in BUILT_IN]


def test_pods_scale_by_a_metric_that_exists_and_that_the_adapter_serves(known):
    asked = manifest("hpa")["spec"]["metrics"][0]["pods"]["metric"]["name"]
    rule = manifest("prometheus-adapter.values")["rules"]["custom"][0]
    assert asked == rule["name"]["as"] and rule["seriesQuery"].startswith(f"{asked}{{")
    assert known[asked] == set(), "one value a pod, or the adapter adds series up"


def test_a_pod_has_few_rights_and_time_to_end():
    spec = manifest("deployment")["spec"]["template"]["spec"]
    rights = container()["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] and rights["readOnlyRootFilesystem"]
    assert not rights["allowPrivilegeEscalation"] and rights["capabilities"] == {"drop": ["ALL"]}
    waited = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    assert spec["terminationGracePeriodSeconds"] >= waited + 30 + 5
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert volumes == {mount["name"] for mount in container()["volumeMounts"]}
    secret = [e for e in container()["env"] if re.search("KEYS|URL", e["name"])]
    assert len(secret) == 3 and all("secretKeyRef" in e["valueFrom"] for e in secret)


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


# A virtual machine


def test_the_unit_and_the_proxy_of_a_machine_fit_the_service():
    text = (DEPLOY / "vm/systemd.service").read_text("utf-8").replace("\\\n", " ")
    unit = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    run = shlex.split(unit["ExecStart"])
    assert run[run.index("--publish") + 1] == f"127.0.0.1:{PORT}:{PORT}"
    assert run[-1] == container()["image"]
    given = int(re.search(r"--time (\d+)", unit["ExecStop"])[1])
    assert 30 < given < int(unit["TimeoutStopSec"])
    proxy = (DEPLOY / "vm/Caddyfile").read_text("utf-8")
    assert f"reverse_proxy 127.0.0.1:{PORT}" in proxy and "flush_interval -1" in proxy
    assert f"max_size {Config().max_body_mb:.0f}MB" in proxy


def test_the_image_serves_where_the_manifests_look():
    text = DOCKERFILE.read_text("utf-8")
    assert f"ENV PORT={PORT} SERVICE_DATA_DIR=/data" in text and f"EXPOSE {PORT}\n" in text
    user = re.search(r"useradd --uid (\d+)", text)
    pod = manifest("deployment")["spec"]["template"]["spec"]
    assert user and int(user[1]) == pod["securityContext"]["runAsUser"]
