"""Every exercise can be solved, and its check refuses the gap and the usual mistakes.

The solutions are in `exercise_solutions.toml`.
"""

import re
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tools import exercises

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.timeout(300)
EXERCISES = {f"{e.project} {e.number}": e for e in exercises.load_all(ROOT)}
SOLUTIONS = tomllib.loads((ROOT / "tests/exercise_solutions.toml").read_text("utf-8"))
WRONG = SOLUTIONS["wrong"]


def working_copy(name: str, folder: Path) -> exercises.Exercise:
    """The exercise with a new working copy in `folder`."""
    (folder / "projects").symlink_to(ROOT / "projects")
    project, number = name.split()
    exercise = exercises.load(project, number, root=folder)
    exercises.start(exercise)
    return exercise


def fill_gap(exercise: exercises.Exercise, body: str) -> None:
    """Replace the gap in the working copy with the body of a function, which is not indented."""
    code = exercise.open_file.read_text("utf-8")
    gap = re.search(rf'^( *)raise .*"{re.escape(exercises.MESSAGE)}"\)\n(?:\1yield\n)?', code, re.M)
    assert gap
    indented = textwrap.indent(body.strip("\n") + "\n", gap[1])
    exercise.open_file.write_text(code.replace(gap[0], indented), "utf-8")


def replace_in_solution(exercise: exercises.Exercise, old: str, new: str) -> None:
    code = (exercise.source / exercise.file).read_text("utf-8")
    assert code.count(old) == 1, "the project's code has changed: change `old`"
    exercise.open_file.write_text(code.replace(old, new), "utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", EXERCISES)
def test_check_refuses_gap_and_accepts_solution(name: str, tmp_path: Path) -> None:
    exercise = working_copy(name, tmp_path)
    (failure,) = exercises.check(exercise)
    assert re.fullmatch(r"✗ step 1: .* \(and \d+ more\): not written yet", failure)
    exercises.solve(exercise)
    assert exercises.check(exercise) == []


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG, ids=lambda row: f"{row['exercise']}: {row['mistake']}")
def test_check_refuses_mistake_with_message_of_its_step(
    wrong: dict[str, Any], tmp_path: Path
) -> None:
    exercise = working_copy(wrong["exercise"], tmp_path)
    if "body" in wrong:
        fill_gap(exercise, wrong["body"])
    else:
        replace_in_solution(exercise, wrong["old"].strip("\n"), wrong["new"].strip("\n"))
    failures = exercises.check(exercise)
    of_step = [line for line in failures if line.startswith(f"✗ step {wrong['step']}: ")]
    assert any(wrong["message"] in line for line in of_step), "\n".join(failures)


@pytest.mark.slow
@pytest.mark.parametrize("right", SOLUTIONS["right"], ids=lambda row: row["exercise"])
def test_check_accepts_other_solution(right: dict[str, Any], tmp_path: Path) -> None:
    exercise = working_copy(right["exercise"], tmp_path)
    fill_gap(exercise, right["body"])
    assert exercises.check(exercise) == []


@pytest.mark.parametrize("name", EXERCISES)
def test_each_step_has_a_check_and_a_wrong_solution(name: str) -> None:
    folder = EXERCISES[name].folder
    readme, check = ((folder / file).read_text("utf-8") for file in ("README.md", "check.py"))
    steps = set(re.findall(r"^(\d+)\. ", readme, re.M))
    assert steps
    assert set(re.findall(r"^def check_(\d+)_", check, re.M)) == steps
    assert {str(row["step"]) for row in WRONG if row["exercise"] == name} == steps
    assert name in {row["exercise"] for row in SOLUTIONS["right"]}


@pytest.mark.parametrize("project", sorted({exercise.project for exercise in EXERCISES.values()}))
def test_project_has_three_numbered_exercises(project: str) -> None:
    exercises_of_project = [e for e in EXERCISES.values() if e.project == project]
    assert [exercise.number for exercise in exercises_of_project] == ["1", "2", "3"]


def test_handbook_has_table_of_exercises() -> None:
    page = (ROOT / "docs/concepts/learning-path.md").read_text("utf-8")
    assert exercises.table(ROOT) in page, "copy the table that `make exercise` prints"


def test_phases_are_those_of_the_learning_path() -> None:
    page = (ROOT / "docs/concepts/learning-path.md").read_text("utf-8")
    phases = re.findall(r"^\| (\d \w[\w ]*?) +\| \d+[–+]", page, re.M)
    assert len(phases) == 8
    assert {exercise.phase for exercise in EXERCISES.values()} <= set(phases)
