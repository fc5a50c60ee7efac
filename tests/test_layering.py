"""Projects import `seedbed` and themselves only, and declare every distribution they import."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.timeout(300)
PACKAGES = {"seedbed": ROOT / "shared"} | {
    file.parent.name: file.parent for file in ROOT.glob("projects/*/pyproject.toml")
}
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
# Libraries that need no requirement of their own: a declared distribution depends on them.
BROUGHT = {
    "pydantic": "pydantic-settings",
    "starlette": "fastapi",
    "anyio": "fastapi",
    "mcp_types": "mcp",
    "opentelemetry": "opentelemetry-sdk",
    "openvino": "openvino-genai",
    "huggingface_hub": "tokenizers",
    "mlflow": "mlflow-skinny",
    "rich": "typer",
    "referencing": "jsonschema",
    "yaml": "langchain-core",
    "jinja2": "torch",
    "threadpoolctl": "scikit-learn",
    "markupsafe": "jinja2",
    "pydantic_core": "pydantic-settings",
}


def imports(folder: Path) -> Iterator[tuple[Path, str]]:
    """(file, top-level name) of every absolute import in a folder and the `nano.py` beside it."""
    for path in [*folder.rglob("*.py"), *folder.parent.glob("nano.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path, node.module.partition(".")[0]


distributions = cache(metadata.packages_distributions)


def test_import_contract_covers_every_project() -> None:
    settings = SETTINGS["tool"]["importlinter"]
    assert set(settings["root_packages"]) == set(PACKAGES)
    top, bottom = settings["contracts"][0]["layers"]
    assert set(re.split(r"\s*\|\s*", top)) == set(PACKAGES) - {"seedbed"}
    assert bottom == "seedbed"
    assert set(settings["contracts"][1]["ancestors"]) == set(PACKAGES)


@pytest.mark.slow
def test_imports_keep_contract() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_imported_distributions_are_declared(package: str) -> None:
    about = tomllib.loads((PACKAGES[package] / "pyproject.toml").read_text("utf-8"))["project"]
    shared = tomllib.loads((ROOT / "shared/pyproject.toml").read_text("utf-8"))["project"]
    needs = list(about["dependencies"])
    for table in (about, shared):
        needs += [
            need for extra in table.get("optional-dependencies", {}).values() for need in extra
        ]
    needs += shared["dependencies"]
    declared = {normal(re.split(r"[\[<>=!~ ;]", need)[0]) for need in needs}
    where = distributions()
    undeclared = set()
    for path, name in imports(PACKAGES[package] / "src"):
        if name in sys.stdlib_module_names or name in PACKAGES:
            continue
        known = {normal(name), *map(normal, where.get(name, [])), normal(BROUGHT.get(name, ""))}
        if not known & declared:
            undeclared.add(f"{path.name}: {name}")
    assert sorted(undeclared) == []


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
