"""What keeps the repository from being released, and the list of what it depends on."""

import json
import subprocess
from pathlib import Path

import pytest

from tools import release


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "shared/pyproject.toml": '[project]\nversion = "1.2.0"\n',
        "projects/x/pyproject.toml": '[project]\nversion = "1.2.0"\n',
        "CHANGELOG.md": "# Changelog\n\n## [1.2.0] - 2026-12-01\n",
        "CITATION.cff": 'version: "1.2.0"\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    git(tmp_path, "init", "-q")
    commit(tmp_path)
    return tmp_path


def git(root: Path, *words: str) -> None:
    name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "-C", str(root), *name, *words], check=True)


def commit(root: Path) -> None:
    git(root, "add", ".")
    git(root, "commit", "-qm", "a")


def test_nothing_is_wrong(root: Path) -> None:
    assert list(release.problems(root, {"a": "MIT", "psycopg": "LGPL-3.0-only"})) == []


def test_each_problem_has_a_line(root: Path) -> None:
    git(root, "tag", "v1.2.0")
    (root / "projects/x/pyproject.toml").write_text('[project]\nversion = "1.1.0"\n', "utf-8")
    (root / "CHANGELOG.md").write_text("## [1.2.0] - unreleased\n", "utf-8")
    (root / "CITATION.cff").unlink()
    lines = list(release.problems(root, {"a": "GPL-3.0-only", "b": ""}))
    assert [line.partition(":")[0] for line in lines] == [
        *("projects/x/pyproject.toml", "CHANGELOG.md", "CITATION.cff", "git", "git", "a", "b"),
    ]


@pytest.mark.slow
def test_bill_of_materials_lists_what_is_installed(tmp_path: Path) -> None:
    licences = release.bill_of_materials(tmp_path / "sbom.json")
    assert licences["pytest"] == "MIT"
    assert json.loads((tmp_path / "sbom.json").read_text("utf-8"))["bomFormat"] == "CycloneDX"
    assert [line for line in release.problems(Path.cwd(), licences) if "Replace it" in line] == []
