"""Projects import `seedbed` and themselves only, and require every distribution they import.

A project that only runs models installs neither torch nor anything that requires it.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.timeout(300)
PACKAGES = {"seedbed": ROOT / "shared"} | {
    file.parent.name: file.parent for file in ROOT.glob("projects/*/pyproject.toml")
}
HEAVY = {"torch", "torchvision", "triton", "transformers", "sentence-transformers", "accelerate"}
TRAINING = {"seedbed", "finetune_lora", "research_repro"}


def closure(name: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Every distribution that `name[extras]` requires on this machine, by their metadata."""
    done: set[tuple[str, str]] = set()
    waiting = [(name, extra) for extra in ("", *extras)]
    while waiting:
        item = waiting.pop()
        if item in done:
            continue
        done.add(item)
        try:
            needs = metadata.distribution(item[0]).requires or []
        except metadata.PackageNotFoundError:
            continue  # for another platform
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": item[1]}):
                waiting += [(normal(need.name), extra) for extra in ("", *need.extras)]
    return {name for name, _ in done}


def imports(folder: Path) -> Iterator[tuple[Path, str]]:
    """(file, top-level name) of every absolute import in a folder and the `nano.py` beside it."""
    for path in [*folder.rglob("*.py"), *folder.parent.glob("nano.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path, node.module.partition(".")[0]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_import_contracts_cover_every_project() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    assert set(settings["root_packages"]) == set(PACKAGES)
    top, bottom = settings["contracts"][0]["layers"]
    assert set(re.split(r"\s*\|\s*", top)) == set(PACKAGES) - {"seedbed"}
    assert bottom == "seedbed"
    assert set(settings["contracts"][1]["ancestors"]) == set(PACKAGES)


@pytest.fixture(scope="module")
def distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imported_distributions_are_required(
    package: str, distributions: Mapping[str, list[str]]
) -> None:
    about = tomllib.loads((PACKAGES[package] / "pyproject.toml").read_text("utf-8"))["project"]
    required = closure(normal(package), frozenset(about.get("optional-dependencies", ())))
    missing = set()
    for path, name in imports(PACKAGES[package] / "src"):
        if name in sys.stdlib_module_names or name in PACKAGES:
            continue
        if not {normal(name), *map(normal, distributions.get(name, []))} & required:
            missing.add(f"{path.name}: {name}")
    assert sorted(missing) == []


@pytest.mark.parametrize(
    "project", ["agentic_workflow", "multi_agent", "rag_chatbot", "vision_app"]
)
def test_project_requires_what_a_remote_model_needs(project: str) -> None:
    about = tomllib.loads((PACKAGES[project] / "pyproject.toml").read_text("utf-8"))["project"]
    (library,) = [
        need for need in map(Requirement, about["dependencies"]) if need.name == "seedbed"
    ]
    assert "remote" in library.extras


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - TRAINING))
def test_default_install_has_no_torch(package: str) -> None:
    names = closure(normal(package))
    assert {"seedbed", "langchain-core"} <= names
    assert names & HEAVY == set()
    assert [name for name in names if name.startswith("nvidia-")] == []


def test_constraints_omit_torch() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    names = {re.split(r"[=\[ ]", line)[0] for line in lines if not line.startswith("#")}
    assert "chromadb" in names
    assert names & {"torch", "torchvision", "triton"} == set()
    assert [name for name in names if name.startswith(("nvidia-", "cuda-"))] == []
    # No addresses and no paths, so that it works with any package index.
    assert [line for line in lines if re.search(r"https?:|file:|--|^-e|@", line)] == []
