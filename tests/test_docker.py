"""The Dockerfile, docker/compose.yaml and the workflows are valid, and cover every project."""

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
DOCKERFILE = (DOCKER / "Dockerfile").read_text("utf-8")
# Variables that libraries read.
OF_LIBRARIES = {
    *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MLFLOW_TRACKING_URI"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TIMEOUT"),
}
URL = re.compile(r"\b\w+://(?:\w+:\w+@)?([\w.-]+:\d+)")


def problems(schema: str, *files: Path) -> str:
    """What a validator says of files by a schema that it contains."""
    command = [str(Path(sys.executable).with_name("check-jsonschema")), "--builtin-schema"]
    done = subprocess.run(
        [*command, f"vendor.{schema}", *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
    return found


def stage(project: str) -> dict[str, str]:
    """The variables of a project's stage in the Dockerfile."""
    text = re.search(rf"^FROM base AS {project}\n((?:.+\n)+)", DOCKERFILE, re.MULTILINE)
    assert text, f"{project} has no stage"
    lines = [line for line in text[1].splitlines() if line.startswith("ENV")]
    return dict(re.findall(r'(\w+)=("[^"]*"|\S+)', "\n".join(lines)))


def settings(*classes: type[BaseSettings]) -> set[str]:
    """The variables that set a field of these classes."""
    names = set()
    for cls in classes:
        for field, info in cls.model_fields.items():
            alias = info.validation_alias
            aliases = alias.choices if isinstance(alias, AliasChoices) else [variable(cls, field)]
            names |= {str(name) for name in aliases}
    return names


def config(project: str) -> type[BaseSettings]:
    found: type[BaseSettings] = import_module(f"{project}.config").Config
    return found


def whole_env() -> dict[str, str]:
    """The variables of docker/whole.env."""
    lines = (DOCKER / "whole.env").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if not line.startswith("#"))


def test_dockerfile_has_a_stage_for_every_project() -> None:
    assert re.findall(r"^FROM base AS (\w+)$", DOCKERFILE, re.MULTILINE) == PROJECTS
    assert re.search(r"^USER (?!root|0)\w+", DOCKERFILE, re.MULTILINE)
    assert "HEALTHCHECK" in DOCKERFILE


@pytest.mark.parametrize("project", PROJECTS)
def test_stage_of_the_dockerfile_fits_the_project(project: str) -> None:
    own = stage(project)
    serve = inspect.signature(import_module(f"{project}.__main__").serve)
    assert own["PORT"] == str(serve.parameters["port"].default)
    assert own[variable(config(project), "data_dir")] == "/data"
    environment = set(own) - {"PORT", "TORCH", "EXTRAS", "WEIGHTS", "CONVERT"}
    assert environment <= settings(config(project))
    pyproject = (ROOT / f"projects/{project}/pyproject.toml").read_text("utf-8")
    requires_torch = re.search(r'^ *"torch\b', pyproject, re.MULTILINE) is not None
    assert ("TORCH" in own) == requires_torch


def test_compose_file_follows_the_specification(tmp_path: Path) -> None:
    assert problems("compose-spec", COMPOSE) == ""
    broken = tmp_path / "compose.yaml"
    broken.write_text(COMPOSE.read_text("utf-8").replace("read_only:", "readonly:"))
    assert "readonly" in problems("compose-spec", broken)


def test_workflows_follow_the_schema(tmp_path: Path) -> None:
    own = tmp_path / "ci.yml"
    own.write_text(starter_files.workflow((WORKFLOWS / "ci.yml").read_text("utf-8")))
    assert problems("github-workflows", own, *WORKFLOWS.glob("*.yml")) == ""


@pytest.mark.parametrize("name", [name for name in services() if "build" in services()[name]])
def test_service_of_compose_builds_an_image_and_configures_it(name: str) -> None:
    service = services()[name]
    assert (COMPOSE.parent / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    project = service["build"]["args"]["PROJECT"]
    port = stage(project)["PORT"]
    assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert name in service["profiles"]
    known = settings(config(project), Settings) | OF_LIBRARIES
    assert set(service["environment"]) - known == set()


def test_profile_whole_wires_its_servers() -> None:
    whole = {name: s for name, s in services().items() if "whole" in s["profiles"]}
    servers = {"rag", "service", "agents", "workflow"}
    around = {"chroma", "mlflow", "postgres", "prometheus", "grafana"}
    assert set(whole) == servers | around
    # A variable without a value is one that compose takes from whole.env.
    taken = {
        name: {key for key, value in whole[name]["environment"].items() if value is None}
        for name in servers
    }
    assert set(whole_env()) <= set.union(*taken.values())
    assert {name for name in servers if "SEEDBED_BASE_URL" in taken[name]} == servers - {"service"}
    databases = [url.rpartition("/")[2] for key, url in whole_env().items() if "DATABASE" in key]
    created = re.findall(r"CREATE DATABASE (\w+);", (DOCKER / "postgres.sql").read_text("utf-8"))
    assert sorted(databases) == sorted(created)


@pytest.mark.parametrize(
    "file", ["compose.yaml", "whole.env", "grafana/provisioning/datasources/prometheus.yaml"]
)
def test_urls_name_a_service_and_its_port(file: str) -> None:
    addresses = set(URL.findall((DOCKER / file).read_text("utf-8")))
    assert addresses
    check_addresses({address for address in addresses if not address.startswith("127.0.0.1:")})


def test_prometheus_scrapes_services_of_compose() -> None:
    jobs = yaml.safe_load((DOCKER / "prometheus.yaml").read_text("utf-8"))["scrape_configs"]
    targets = {t for job in jobs for static in job["static_configs"] for t in static["targets"]}
    check_addresses(targets)
    assert {"rag:8001", "agents:8002", "service:8004", "workflow:8005"} <= targets


def check_addresses(addresses: set[str]) -> None:
    """Fail for a HOST:PORT that is not a service of compose and its port in the container."""
    known = {
        f"{name}:{port.rpartition(':')[2]}" for name, s in services().items() for port in s["ports"]
    }
    assert addresses - known == set()


def test_images_have_the_versions_of_the_constraints() -> None:
    constraints = (ROOT / "constraints.txt").read_text("utf-8")
    for name in ("chromadb", "mlflow"):
        service = services()[name.removesuffix("db")]
        version = service["image"].rpartition(":")[2].removeprefix("v")
        assert f"\n{name}=={version}\n" in constraints


def test_files_that_compose_mounts_exist() -> None:
    mounts = [mount for service in services().values() for mount in service.get("volumes", ())]
    files = [COMPOSE.parent / mount.partition(":")[0] for mount in mounts if mount[0] == "."]
    assert files
    assert [file for file in files if not file.exists()] == []


def test_workflow_builds_and_runs_the_image_of_every_project() -> None:
    jobs = yaml.safe_load((WORKFLOWS / "images.yml").read_text("utf-8"))["jobs"]
    matrix = jobs["image"]["strategy"]["matrix"]
    assert matrix["project"] == PROJECTS
    arguments = {row["project"]: f" {row['arguments']}" for row in matrix["include"]}
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for project in PROJECTS:
        verb = re.search(rf"^project-(\w+) := {project}$", makefile, re.MULTILINE)
        assert verb
        assert f"demo-{verb[1]} := demo{arguments.get(project, '')}\n" in makefile
