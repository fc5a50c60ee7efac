"""Every project has the same shape, so a reader of one finds his way in all."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECTS = sorted(file.parent for file in ROOT.glob("projects/*/pyproject.toml"))
TEST_FOLDERS = [ROOT / "shared/tests", ROOT / "tests", *(project / "tests" for project in PROJECTS)]
HEADINGS = [
    "What you get",
    "Run it",
    "How it works",
    "Settings",
    "With a bigger model",
    "Make it yours",
    "Scale it out",
    "Test and evaluate",
    "Limits",
]
each_project = pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)


def test_there_are_projects_and_no_stray_folders() -> None:
    folders = {path.name for path in (ROOT / "projects").iterdir() if path.is_dir()}
    assert "rag_chatbot" in folders
    assert folders - {"__pycache__"} == {project.name for project in PROJECTS}


@each_project
def test_files_with_the_same_roles_are_there(project: Path) -> None:
    package = f"src/{project.name}"
    wanted = ["README.md", "Dockerfile", "tests", f"{package}/__init__.py"]
    wanted += [f"{package}/{name}.py" for name in ("__main__", "config")]
    missing = [name for name in wanted if not (project / name).exists()]
    assert missing == []
    assert sorted(project.glob("tests/test_*.py")), "the project has no tests"


@pytest.mark.parametrize("package", ["shared/src/seedbed", "projects/rag_chatbot/src/rag_chatbot"])
def test_a_package_shows_at_most_thirteen_names(package: str) -> None:
    names = {path.stem for path in (ROOT / package).iterdir()} - {"__init__", "__pycache__"}
    assert len(names) <= 13, sorted(names)


@each_project
def test_the_readme_has_the_headings_in_order(project: Path) -> None:
    text = (project / "README.md").read_text("utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^## (.+?)\s*$", text, re.MULTILINE)
    assert [heading for heading in found if heading in HEADINGS] == HEADINGS


@each_project
def test_the_pyproject_is_like_the_others(project: Path) -> None:
    settings = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    about = settings["project"]
    name = project.name.replace("_", "-")
    assert about["name"] == name
    assert about["scripts"] == {name: f"{project.name}.__main__:main"}
    assert about["requires-python"] == ">=3.11"
    assert about["license"] == "Apache-2.0"
    assert "Private :: Do Not Upload" in about["classifiers"]
    assert any(need.startswith("seedbed[") for need in about["dependencies"])
    # The root's are found from inside a project; a second set would drift.
    assert not {"ruff", "mypy", "pytest"} & set(settings.get("tool", {}))


@each_project
def test_every_dependency_has_its_reason(project: Path) -> None:
    text = (project / "pyproject.toml").read_text("utf-8")
    block = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert block
    lines = [line for line in block[1].splitlines() if '"' in line and "seedbed[" not in line]
    assert [line for line in lines if "#" not in line] == []


@each_project
def test_the_root_readme_tells_that_it_exists(project: Path) -> None:
    rows = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if "|" in line]
    assert any(f"projects/{project.name}" in row for row in rows)


@each_project
def test_the_image_runs_as_nobody_special_and_says_how_it_is(project: Path) -> None:
    text = (project / "Dockerfile").read_text("utf-8")
    assert text.count("FROM ") >= 2
    assert re.search(r"^USER (?!root|0)\w+", text, re.MULTILINE)
    assert "HEALTHCHECK" in text


def test_no_tests_folder_is_a_package() -> None:
    # With it pytest runs one project's tests twice and another's never, and passes.
    assert [path for folder in TEST_FOLDERS for path in folder.rglob("__init__.py")] == []
