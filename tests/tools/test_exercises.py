"""`tools.exercises`: gaps are cut from real code, and checks report failures until solved."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from tools import exercises
from seedbed.errors import BadInput, NotFound

CODE = '''\
"""A toy."""


class Sum:
    def add(self, a: int, b: int) -> int:
        """Their sum."""
        total = a + b
        return total

    def one(self) -> int:
        return 1
'''
CHECK = """\
from toy.core import Sum

def check_1_small_numbers():
    assert Sum().add(1, 2) == 3, f"expected 3, got {Sum().add(1, 2)}"

def check_2_negative_numbers():
    assert Sum().add(-1, -2).real == -3
"""
TEST = """\
from toy.core import Sum

def test_large_numbers():
    assert Sum().add(10, 20) == 30
"""
SETTINGS = """\
file = "core.py"
function = "Sum.add"
phase = "1 Programming"
hint = "Use +."
tests = ["tests/test_core.py::test_large_numbers"]
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a repository with one toy project; the path has a space in it."""
    root = tmp_path / "with space"
    files = {
        "Makefile": "project-t := toy\n",
        "projects/toy/src/toy/__init__.py": "",
        "projects/toy/src/toy/core.py": CODE,
        "projects/toy/tests/test_core.py": TEST,
        "projects/toy/exercises/1_add/README.md": "# 1 Add\n\nEasy, about 5 minutes.\n",
        "projects/toy/exercises/1_add/check.py": CHECK,
        "projects/toy/exercises/1_add/exercise.toml": SETTINGS,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def exercise(root: Path) -> exercises.Exercise:
    """The exercise, started."""
    exercise = exercises.load("toy", "1", root=root)
    exercises.start(exercise)
    return exercise


def test_gap_keeps_signature_docstring_and_surrounding_code() -> None:
    text = exercises.with_gap(CODE, "Sum.add")
    assert '"""Their sum."""\n        raise NotImplementedError(' in text
    assert "total" not in text
    assert "return 1" in text
    names: dict[str, Any] = {}
    exec(exercises.with_gap("async def count():\n    yield 1\n", "count"), names)
    assert inspect.isasyncgenfunction(names["count"])


def test_check_reports_failed_steps_then_failed_tests(
    exercise: exercises.Exercise, capsys: pytest.CaptureFixture[str]
) -> None:
    def check(code: str) -> list[str]:
        exercise.open_file.write_text(code)
        assert exercises.main(["check", "toy", "1"]) == 1
        return capsys.readouterr().out.splitlines()

    hint = "Hint: make exercise-t N=1 HINT=1"
    gap = exercise.open_file.read_text()
    steps = ["✗ step 1: small numbers: ", "✗ step 2: negative numbers: "]
    assert check(gap) == [*(f"{step}not written yet" for step in steps), hint]
    wrong = [f"{steps[0]}expected 3, got -1", f"{steps[1]}assert 1 == -3", hint]
    assert check(CODE.replace("a + b", "a - b")) == wrong
    failed, hint = check(CODE.replace("a + b", "min(a + b, 25)"))
    assert failed.endswith("projects/toy/tests/test_core.py::test_large_numbers: assert 25 == 30")
    assert hint == "Hint: Use +."
    exercise.open_file.write_text(CODE)
    assert exercises.main(["check", "toy", "1"]) == 0
    assert capsys.readouterr().out.startswith("Solved.")
    assert exercises.main(["solve", "toy", "1"]) == 0
    assert capsys.readouterr().out.startswith("    def add(self, a: int, b: int) -> int:\n")


ERRORS = {
    "a / 0": "core.py:7: total = a / 0 (ZeroDivisionError: division by zero)",
    "a +": 'core.py", line 7 total = a + ^ SyntaxError: invalid syntax',
    # Outside the solution: the line of the solution that called it.
    "int('x')": "core.py:7: total = int('x') (ValueError: invalid literal",
    "exit()": "core.py:7: total = exit() (SystemExit: None)",
    "str(a)": "step 2: negative numbers: AttributeError: 'str' object has no attribute 'real'",
}


@pytest.mark.parametrize("code", ERRORS)
def test_check_reports_error_with_file_and_line(exercise: exercises.Exercise, code: str) -> None:
    exercise.open_file.write_text(CODE.replace("a + b", code))
    failures = exercises.check(exercise)
    assert any(ERRORS[code] in line for line in failures), failures


def test_check_ends_endless_loop_and_start_keeps_it(exercise: exercises.Exercise) -> None:
    exercise.open_file.write_text("while True: pass\n")
    assert "did not finish within 0.2 s" in exercises.check(exercise, seconds=0.2)[0]
    with pytest.raises(BadInput, match="1 exists"):
        exercises.start(exercise)


def test_unknown_exercise_lists_available_ones(root: Path) -> None:
    with pytest.raises(NotFound, match=r"Unknown exercise '7' of toy.*N=1 \(Add\)"):
        exercises.load("toy", "7", root=root)
    with pytest.raises(NotFound, match="make exercise-t N=1"):
        exercises.check(exercises.load("toy", "1", root=root))
    with pytest.raises(NotFound, match=r"'Sum\.gone' does not exist"):
        exercises.with_gap(CODE, "Sum.gone")


def test_commands_have_no_project_name_outside_the_repository(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exercises.main(["list"]) == 0
    row = "| 1 Programming | toy     | 1 Add    | 5       | `make exercise-t N=1` |\n"
    assert row in capsys.readouterr().out
    monkeypatch.chdir(root / "projects/toy")
    assert exercises.main(["start", "toy", "1"]) == 0
    assert capsys.readouterr().out.endswith("Then run: make check N=1\n")
    assert exercises.main(["start", "toy"]) == 2
    assert "`make exercise N=1`" in capsys.readouterr().err
