"""Every exercise can be solved: its check rejects the gap and accepts the project's own code."""

from pathlib import Path

import pytest

from tools import exercises

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.timeout(300)
FOLDERS = sorted(file.parent for file in ROOT.glob("projects/*/exercises/*/exercise.toml"))


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parents[1].name}-{path.name}")
def test_check_rejects_gap_and_accepts_solution(folder: Path, tmp_path: Path) -> None:
    project = folder.parents[1].name
    (tmp_path / "projects").symlink_to(ROOT / "projects")
    number = folder.name.partition("_")[0]
    exercise = exercises.load(project, number, root=tmp_path)
    file = exercises.start(exercise)
    assert exercises.MESSAGE in file.read_text("utf-8")
    failures = exercises.check(exercise)
    assert failures
    assert not any("did not run" in line for line in failures), failures
    exercises.solve(exercise)
    assert exercises.check(exercise) == []


@pytest.mark.parametrize("project", sorted({folder.parents[1].name for folder in FOLDERS}))
def test_project_has_three_numbered_exercises(project: str) -> None:
    names = [folder.name for folder in FOLDERS if folder.parents[1].name == project]
    assert [name.partition("_")[0] for name in names] == ["1", "2", "3"]
    assert all((folder / "README.md").read_text("utf-8").startswith("# ") for folder in FOLDERS)
