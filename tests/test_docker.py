"""The Dockerfiles, docker/compose.yaml and the workflows are valid, and cover every project."""

import inspect
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from tools import starter_files
from seedbed.settings import Settings, variable

ROOT = Path(__file__).parents[1]
PROJECTS = sorted(path.parent.name for path in ROOT.glob("projects/*/pyproject.toml"))
DOCKER = ROOT / "docker"
COMPOSE = DOCKER / "compose.yaml"
WORKFLOWS = ROOT / ".github/workflows"
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
# Variables that libraries read.
OF_LIBRARIES = {
    *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MLFLOW_TRACKING_URI"),
    *(f"OTEL_EXPORTER_OTLP_{name}" for name in ("ENDPOINT", "HEADERS", "TIMEOUT")),
}


def problems(schema: str, *files: Path) -> str:
    """The report of a validator with this built-in schema, empty if the files are valid."""
    validator = str(Path(sys.executable).with_name("check-jsonschema"))
    command = [validator, "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr


def variables(*classes: type[BaseSettings]) -> set[str]:
    """The environment variables that set a field of these classes."""
    names: set[str] = set()
    for cls in classes:
        for field, info in cls.model_fields.items():
            alias = info.validation_alias
            aliases = alias.choices if isinstance(alias, AliasChoices) else [variable(cls, field)]
            names |= {str(name) for name in aliases}
    return names


@pytest.mark.parametrize("project", PROJECTS)
def test_dockerfile_fits_its_project(project: str) -> None:
    text = (ROOT / f"projects/{project}/Dockerfile").read_text("utf-8")
    pyproject = (ROOT / f"projects/{project}/pyproject.toml").read_text("utf-8")
    config = import_module(f"{project}.config").Config
    port = inspect.signature(import_module(f"{project}.__main__").serve).parameters["port"].default
    assert f"COPY projects/{project} projects/{project}\n" in text
    assert f"EXPOSE {port}\n" in text
    assert "\nUSER app\n" in text and "\nHEALTHCHECK " in text
    environment = re.search(rf"^ENV PORT={port} (.+) HF_HUB_OFFLINE=1$", text, re.MULTILINE)
    assert environment
    values = dict(item.split("=") for item in environment[1].split())
    assert values[variable(config, "data_dir")] == "/data"
    assert set(values) <= variables(config)
    assert ("torch>=" in text) == bool(re.search(r'^ *"torch\b', pyproject, re.MULTILINE))
    extras = [re.search(r"\bse?(?:edbed|hared)\[(.+?)\]", t) for t in (pyproject, text)]
    assert extras[0] and extras[1]
    assert set(extras[0][1].split(",")) <= set(extras[1][1].split(","))


def test_compose_and_workflows_follow_their_schemas(tmp_path: Path) -> None:
    assert problems("compose-spec", COMPOSE) == ""
    of_a_copy = tmp_path / "ci.yml"
    of_a_copy.write_text(
        starter_files.workflow((WORKFLOWS / "ci.yml").read_text("utf-8"), is_full=True)
    )
    assert problems("github-workflows", of_a_copy, *WORKFLOWS.glob("*.yml")) == ""


@pytest.mark.parametrize("name", [name for name in SERVICES if "build" in SERVICES[name]])
def test_service_of_compose_builds_an_image_and_configures_it(name: str) -> None:
    service = SERVICES[name]
    dockerfile = (COMPOSE.parent / service["build"]["context"]) / service["build"]["dockerfile"]
    port = re.search(r"^EXPOSE (\d+)$", dockerfile.read_text("utf-8"), re.MULTILINE)
    assert port and service["ports"] == [f"127.0.0.1:{port[1]}:{port[1]}"]
    config = import_module(f"{dockerfile.parent.name}.config").Config
    assert set(service["environment"]) <= variables(config, Settings) | OF_LIBRARIES


def test_addresses_name_a_service_of_compose_and_its_port() -> None:
    ports = {f"{n}:{port.split(':')[-1]}" for n, s in SERVICES.items() for port in s["ports"]}
    files = ("compose.yaml", "whole.env", "grafana/provisioning/datasources/prometheus.yaml")
    text = "\n".join((DOCKER / file).read_text("utf-8") for file in files)
    addresses = set(re.findall(r"\b\w+://(?:\w+:\w+@)?([a-z][\w.-]*:\d+)", text))
    jobs = yaml.safe_load((DOCKER / "prometheus.yaml").read_text("utf-8"))["scrape_configs"]
    targets = {t for job in jobs for static in job["static_configs"] for t in static["targets"]}
    assert {"rag:8001", "agents:8002", "service:8004", "workflow:8005"} <= targets
    assert addresses and addresses | targets <= ports


def test_profile_whole_passes_the_variables_of_its_file() -> None:
    servers = [SERVICES[name] for name in ("rag", "service", "agents", "workflow")]
    assert all("whole" in server["profiles"] for server in servers)
    passed = {key for s in servers for key, value in s["environment"].items() if value is None}
    assert passed >= set(re.findall(r"^(\w+)=", (DOCKER / "whole.env").read_text("utf-8"), re.M))


def test_images_and_mounts_of_compose_exist() -> None:
    constraints = (ROOT / "constraints.txt").read_text("utf-8")
    for service, package in {"chroma": "chromadb", "mlflow": "mlflow"}.items():
        version = SERVICES[service]["image"].rpartition(":")[2].removeprefix("v")
        assert f"\n{package}=={version}\n" in constraints
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    files = [COMPOSE.parent / mount.partition(":")[0] for mount in mounts if mount[0] == "."]
    assert files and [file for file in files if not file.exists()] == []


def test_workflow_builds_the_image_of_every_project() -> None:
    jobs = yaml.safe_load((WORKFLOWS / "images.yml").read_text("utf-8"))["jobs"]
    assert jobs["image"]["strategy"]["matrix"]["project"] == PROJECTS
