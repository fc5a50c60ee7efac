"""Every exercise can be solved, and its check refuses the gap and the usual mistakes.

`exercise_solutions/PROJECT.toml` has a table for each exercise:

    [1]
    right = "…"       # a body of the function that differs from the project's code, and passes
    wrong = [
        [step, "mistake", 'code of `right`', 'what replaces it', "part of the message"],
    ]

The check must refuse each wrong solution with such a message about the step.
"""

import ast
import multiprocessing
import re
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tools import exercises

ROOT = Path(__file__).parents[1]
EXERCISES = {f"{e.project} {e.number}": e for e in exercises.load_all(ROOT)}
SOLUTIONS: dict[str, Any] = {
    f"{file.stem} {number}": solutions
    for file in sorted((ROOT / "tests/exercise_solutions").glob("*.toml"))
    for number, solutions in tomllib.loads(file.read_text("utf-8")).items()
}
# What the checks import besides the project, and what takes long.
PRELOADED = [
    *("torch._dynamo", "transformers", "pandas", "sqlalchemy", "pydantic", "prometheus_client"),
    *("langgraph.graph", "fastapi", "babel", "chromadb", "seedbed.testing"),
]


def working_copy(name: str, folder: Path) -> exercises.Exercise:
    """The exercise with a new working copy in `folder`."""
    (folder / "projects").symlink_to(ROOT / "projects")
    project, number = name.split()
    exercise = exercises.load(project, number, root=folder)
    exercises.start(exercise)
    return exercise


def fill_gap(code: str, body: str) -> str:
    """Replace the gap in this code with the body of a function, which is not indented."""
    gap = re.search(rf'^( *)raise .*"{re.escape(exercises.MESSAGE)}"\)\n(?:\1yield\n)?', code, re.M)
    assert gap
    return code.replace(gap[0], textwrap.indent(body.strip("\n") + "\n", gap[1]))


def patch(body: str, old: str, new: str) -> str:
    """Replace `old` in the right body; further lines of `new` are indented like its line."""
    old, new = old.strip("\n"), new.strip("\n")
    count = body.count(old)
    assert count == 1, f"`right` contains this code {count} times instead of once: {old}"
    before, _, after = body.partition(old)
    line = before.rpartition("\n")[2]
    indent = line[: len(line) - len(line.lstrip(" "))]
    return before + new.replace("\n", f"\n{indent}") + after


def prepare_import(folder: str) -> None:
    """Let this process import the working copy, which changes from check to check."""
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True


def run_checks(exercise: exercises.Exercise, codes: list[str]) -> list[list[str]]:
    """The failures of each solution, each in a new process that has imported `PRELOADED`."""
    results = []
    check = exercise.folder / "check.py"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with context.Pool(
        1, prepare_import, [str(exercise.work / "src")], maxtasksperchild=1
    ) as processes:
        for code in codes:
            exercise.open_file.write_text(code, "utf-8")
            run = processes.apply_async(exercises.run_check, (check, exercise.open_file))
            results.append(run.get(timeout=120))
    return results


@pytest.mark.slow
@pytest.mark.parametrize("name", EXERCISES)
def test_check_refuses_gap_and_accepts_code_of_the_project(name: str, tmp_path: Path) -> None:
    exercise = working_copy(name, tmp_path)
    (failure,) = exercises.check(exercise)
    assert re.fullmatch(r"✗ step 1: .* \(and \d+ more\): not written yet", failure)
    exercises.solve(exercise)
    assert exercises.check(exercise) == []


@pytest.mark.slow
@pytest.mark.timeout(900)  # up to 30 solutions, on a busy machine
@pytest.mark.parametrize("name", SOLUTIONS)
def test_check_accepts_right_solution_and_refuses_each_mistake(name: str, tmp_path: Path) -> None:
    exercise, solutions = working_copy(name, tmp_path), SOLUTIONS[name]
    gap, right = exercise.open_file.read_text("utf-8"), solutions["right"]
    wrong = [patch(right, old, new) for _, _, old, new, _ in solutions["wrong"]]
    results = run_checks(exercise, [fill_gap(gap, body) for body in (right, *wrong)])
    assert results[0] == []
    problems = []
    for (step, mistake, _, _, message), failures in zip(
        solutions["wrong"], results[1:], strict=True
    ):
        of_step = [line for line in failures if line.startswith(f"✗ step {step}: ")]
        if not any(message in line for line in of_step):
            problems.append(f"step {step}, {mistake}: expected {message!r}, got {failures}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", SOLUTIONS)
def test_each_mistake_is_a_patch_of_the_right_solution(name: str) -> None:
    """A quick look: without it, only a slow test notices a misspelt patch."""
    solutions = SOLUTIONS[name]
    mistakes = [mistake for _, mistake, *_ in solutions["wrong"]]
    assert len(set(mistakes)) == len(mistakes)
    for _, mistake, old, new, _ in solutions["wrong"]:
        body = patch(solutions["right"], old, new)
        try:
            ast.parse("async def solution():\n" + textwrap.indent(body, "    "))
        except SyntaxError as error:
            pytest.fail(f"{mistake}: {error}")


@pytest.mark.parametrize("name", EXERCISES)
def test_each_step_has_a_check_and_a_wrong_solution(name: str) -> None:
    folder = EXERCISES[name].folder
    readme, check = ((folder / file).read_text("utf-8") for file in ("README.md", "check.py"))
    steps = set(re.findall(r"^(\d+)\. ", readme, re.M))
    assert steps
    assert set(re.findall(r"^def check_(\d+)_", check, re.M)) == steps
    assert {str(step) for step, *_ in SOLUTIONS[name]["wrong"]} == steps


@pytest.mark.parametrize("project", sorted({exercise.project for exercise in EXERCISES.values()}))
def test_project_has_at_least_three_numbered_exercises(project: str) -> None:
    numbers = [e.number for e in EXERCISES.values() if e.project == project]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert len(numbers) >= 3


def test_handbook_has_table_of_exercises() -> None:
    page = (ROOT / "docs/concepts/learning-path.md").read_text("utf-8")
    assert exercises.table(ROOT) in page, "copy the table that `make exercise` prints"


def test_phases_are_those_of_the_learning_path() -> None:
    page = (ROOT / "docs/concepts/learning-path.md").read_text("utf-8")
    phases = re.findall(r"^\| (\d \w[\w ]*?) +\| \d+[–+]", page, re.M)
    assert len(phases) == 8
    assert {exercise.phase for exercise in EXERCISES.values()} <= set(phases)
