"""Every exercise can be solved, and its check refuses the gap and the usual mistakes.

`exercise_solutions/PROJECT.toml` has a table for each exercise:

    [1]
    right = "…"       # a body of the function that differs from the project's code, and passes
    also_right = [["what differs", 'code of `right`', 'what replaces it']]   # optional
    wrong = [[step, "mistake", 'code of `right`', 'what replaces it', "the test that refuses it"]]

Without a test, the check of the step must refuse a wrong solution.
"""

import multiprocessing
import os
import re
import sys
import textwrap
import tomllib
from collections import Counter
from dataclasses import replace
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
# What checks and tests import besides the project, and what takes long.
PRELOADED = (
    "torch._dynamo transformers pandas sqlalchemy pydantic prometheus_client langgraph.graph "
    "fastapi babel chromadb seedbed.testing hypothesis _pytest.main"
).split()


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
    """Let this process and those that it starts import the working copy."""
    sys.path.insert(0, folder)
    os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    sys.dont_write_bytecode = True


def run_each(exercise: exercises.Exercise, codes: list[str]) -> list[list[str]]:
    """The failures of each solution, each in a new process that has imported `PRELOADED`."""
    results = []
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    arguments = (exercise.folder, exercise.open_file, exercise.tests)
    with context.Pool(
        1, prepare_import, [str(exercise.work / "src")], maxtasksperchild=1
    ) as processes:
        for code in codes:
            exercise.open_file.write_text(code, "utf-8")
            results.append(processes.apply_async(exercises.run, arguments).get(timeout=120))
    return results


@pytest.mark.slow
@pytest.mark.timeout(900)  # a dozen solutions, on a busy machine
@pytest.mark.parametrize("name", EXERCISES)
def test_check_accepts_right_solutions_and_refuses_gap_and_mistakes(
    name: str, tmp_path: Path
) -> None:
    exercise, solutions = replace(EXERCISES[name], work=tmp_path / "copy"), SOLUTIONS[name]
    exercises.start(exercise)
    gap, right = exercise.open_file.read_text("utf-8"), solutions["right"]
    others = [patch(right, old, new) for _, old, new in solutions.get("also_right", ())]
    wrong = [patch(right, old, new) for _, _, old, new, *_ in solutions["wrong"]]
    own = (exercise.source / exercise.file).read_text("utf-8")
    bodies = [fill_gap(gap, body) for body in (right, *others, *wrong)]
    of_gap, *results = run_each(exercise, [gap, own, *bodies])
    assert of_gap
    assert all(re.fullmatch(r"✗ step \d: .*: not written yet", line) for line in of_gap)
    count = 2 + len(others)
    assert results[:count] == [[]] * count
    for (step, mistake, _, _, *test), failures in zip(
        solutions["wrong"], results[count:], strict=True
    ):
        reason = f"::{test[0]}" if test else f"✗ step {step}: "
        assert any(reason in line for line in failures), f"{step}, {mistake}: {failures}"


@pytest.mark.parametrize("name", EXERCISES)
def test_check_is_short_and_each_step_has_a_mistake_that_patches_the_solution(name: str) -> None:
    exercise, solutions = EXERCISES[name], SOLUTIONS[name]
    folder = exercise.folder
    readme, check = ((folder / file).read_text("utf-8") for file in ("README.md", "check.py"))
    steps = re.findall(r"^(\d+)\. ", readme, re.M)
    checked = re.findall(r"^def check_(\d+)_", check, re.M)
    assert checked == [step for step in steps if step in checked]  # tests may prove the others
    assert checked == steps or exercise.tests
    assert check.count("\n") <= 60
    for test in exercise.tests:
        file, _, function = test.partition("::")
        assert f"def {function}(" in (folder.parents[1] / file).read_text("utf-8")
    mistakes = Counter(str(step) for step, *_ in solutions["wrong"])
    assert set(mistakes) == set(steps)
    assert set(mistakes.values()) <= {1, 2}
    for _, _, old, new, *test in solutions["wrong"]:
        assert all(name in " ".join(exercise.tests) for name in test)
        body = textwrap.indent(patch(solutions["right"], old, new), "    ")
        compile(f"async def solution():\n{body}", name, "exec")  # wrong, but Python


@pytest.mark.parametrize("project", sorted({exercise.project for exercise in EXERCISES.values()}))
def test_project_has_at_least_three_numbered_exercises(project: str) -> None:
    numbers = [e.number for e in EXERCISES.values() if e.project == project]
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    assert len(numbers) >= 3


def test_handbook_has_table_of_exercises_by_its_phases() -> None:
    page = (ROOT / "docs/concepts/learning-path.md").read_text("utf-8")
    assert exercises.table(ROOT) in page, "copy the table that `make exercise` prints"
    phases = re.findall(r"^\| (\d \w[\w ]*?) +\| \d+[–+]", page, re.M)
    assert len(phases) == 8
    assert {exercise.phase for exercise in EXERCISES.values()} <= set(phases)
