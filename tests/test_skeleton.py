"""All projects have the same layout, so that a reader of one finds the way in the others."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECTS = sorted(file.parent for file in ROOT.glob("projects/*/pyproject.toml"))
TEST_FOLDERS = [ROOT / "shared/tests", ROOT / "tests", *(project / "tests" for project in PROJECTS)]
HEADINGS = ["Run it", "What you get", "With a real model", "Make it yours", "Limits"]
each_project = pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)


@each_project
def test_readme_has_fixed_headings_in_order(project: Path) -> None:
    text = (project / "README.md").read_text("utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^## (.+?)\s*$", text, re.MULTILINE)
    assert [heading for heading in headings if heading in HEADINGS] == HEADINGS


@each_project
def test_pyproject_has_common_fields(project: Path) -> None:
    settings = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    metadata = settings["project"]
    name = project.name.replace("_", "-")
    assert metadata["name"] == name
    assert metadata["scripts"] == {name: f"{project.name}.__main__:main"}
    assert metadata["requires-python"] == ">=3.11"
    assert metadata["license"] == "Apache-2.0"
    assert "Private :: Do Not Upload" in metadata["classifiers"]
    # Tools find the settings of the root from inside a project; a second set would diverge.
    assert not {"ruff", "mypy", "pytest"} & set(settings.get("tool", {}))


def test_no_tests_folder_is_a_package() -> None:
    # With one, pytest would run one project's tests twice and skip another's, and still pass.
    assert [path for folder in TEST_FOLDERS for path in folder.rglob("__init__.py")] == []
