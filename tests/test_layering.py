"""Projects import `seedbed` and themselves only, and declare every distribution they import."""

import ast
import re
import shutil
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
    """(file, top-level name) for every absolute import below a folder, and in `nano.py` beside."""
    for path in [*folder.rglob("*.py"), *folder.parent.glob("nano.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield path, node.module.partition(".")[0]


distributions = cache(metadata.packages_distributions)


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_import_contract_covers_every_project() -> None:
    settings = SETTINGS["tool"]["importlinter"]
    assert set(settings["root_packages"]) == set(PACKAGES)
    top, bottom = settings["contracts"][0]["layers"]
    assert set(re.split(r"\s*\|\s*", top)) == set(PACKAGES) - {"seedbed"}
    assert bottom == "seedbed"


@pytest.mark.slow
def test_imports_keep_contract() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_import_contract_detects_violations(tmp_path: Path) -> None:
    for name in PACKAGES:
        # Other processes may be writing compiled files at this moment.
        sources = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGES[name] / "src" / name, tmp_path / name, ignore=sources)
    (tmp_path / "seedbed/models/prompts.py").write_text("import rag_chatbot\n")
    (tmp_path / "seedbed/errors.py").write_text("import seedbed.testing.launch\n")
    (tmp_path / "rag_chatbot/search/fusion.py").write_text("import rag_chatbot.talk.terminal\n")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    for import_ in (
        "seedbed.models.prompts -> rag_chatbot",
        "seedbed.errors -> seedbed.testing.launch",
        "rag_chatbot.search.fusion -> rag_chatbot.talk.terminal",
    ):
        assert import_ in done.stdout


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


@pytest.mark.parametrize("package", sorted(set(PACKAGES) - {"seedbed"}))
def test_projects_that_train_packaged_models_require_what_loads_them(package: str) -> None:
    about = tomllib.loads((PACKAGES[package] / "pyproject.toml").read_text("utf-8"))["project"]
    extras = re.search(r"seedbed\[(.*?)\]", " ".join(about["dependencies"]))
    sources = [path.read_text("utf-8") for path in (PACKAGES[package] / "src").rglob("*.py")]
    if any("seedbed.models.weights.hf_folder" in source for source in sources):
        assert extras and "training" in extras[1].split(",")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
