"""`tools.exercises`: gaps are cut from real code, and checks report failures until solved."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from tools import exercises
from seedbed.errors import NotFound

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

def check_1_negative_numbers():
    assert Sum().add(-1, -2).real == -3, f"expected -3, got {Sum().add(-1, -2)}"

def check_2_the_rest_still_works():
    assert Sum().one() == 1
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    package = tmp_path / "projects/toy/src/toy"
    package.mkdir(parents=True)
    (tmp_path / "Makefile").write_text("project-t := toy\n")
    (package / "__init__.py").write_text("")
    (package / "core.py").write_text(CODE)
    folder = tmp_path / "projects/toy/exercises/1_add"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("# 1 Add\n\nEasy, about 5 minutes.\n")
    (folder / "check.py").write_text(CHECK)
    (folder / "exercise.toml").write_text(
        'file = "core.py"\nfunction = "Sum.add"\nphase = "1 Programming"\nhint = "Use +."'
    )
    return tmp_path


def test_gap_keeps_signature_docstring_and_surrounding_code() -> None:
    text = exercises.with_gap(CODE, "Sum.add")
    assert '"""Their sum."""\n        raise NotImplementedError(' in text
    assert "total" not in text
    assert "return 1" in text
    compile(text, "toy", "exec")


def test_gap_in_generator_is_generator() -> None:
    names: dict[str, Any] = {}
    exec(exercises.with_gap("async def count():\n    yield 1\n", "count"), names)
    assert inspect.isasyncgenfunction(names["count"])


def test_check_reports_failures_until_solved(root: Path) -> None:
    exercise = exercises.load("toy", "1", root=root)
    file = exercises.start(exercise)
    assert exercises.check(exercise) == ["✗ step 1: small numbers (and 1 more): not written yet"]
    file.write_text(CODE.replace("a + b", "a - b"))
    assert exercises.check(exercise) == [
        "✗ step 1: small numbers: expected 3, got -1",
        "✗ step 1: negative numbers: expected -3, got 1",
    ]
    file.write_text("while True: pass\n")
    assert "did not finish within 0.2 s" in exercises.check(exercise, seconds=0.2)[0]
    exercises.solve(exercise)
    assert exercises.check(exercise) == []
    previous = exercise.work.with_name("1.old1") / "src/toy/core.py"
    assert previous.read_text() == "while True: pass\n"


ERRORS = {
    "a / 0": "(and 1 more): core.py:7: total = a / 0 (ZeroDivisionError: division by zero)",
    "a +": ": core.py:7: total = a + (SyntaxError: invalid syntax)",
    # Outside the solution: the line of the solution that called it.
    "int('x')": "(and 1 more): core.py:7: total = int('x') (ValueError: invalid literal",
    "exit()": "(and 1 more): core.py:7: total = exit() (SystemExit: None)",
    "str(a)": "step 1: negative numbers: check.py:7: assert Sum().add(-1, -2).real == -3",
}


@pytest.mark.parametrize("expression", ERRORS)
def test_check_reports_exception_with_file_and_line(root: Path, expression: str) -> None:
    exercise = exercises.load("toy", "1", root=root)
    exercises.start(exercise).write_text(CODE.replace("a + b", expression))
    failures = exercises.check(exercise)
    assert any(ERRORS[expression] in line for line in failures), failures


def test_check_reports_error_at_import_with_file_and_line(root: Path) -> None:
    exercise = exercises.load("toy", "1", root=root)
    exercises.start(exercise).write_text(CODE + "SUM = unknown\n")
    (failure,) = exercises.check(exercise)
    assert "core.py:12: SUM = unknown (NameError: name 'unknown' is not defined)" in failure


def test_failed_assert_in_solution_is_reported_with_line(root: Path) -> None:
    exercise = exercises.load("toy", "1", root=root)
    file = exercises.start(exercise)
    file.write_text(CODE.replace("total = a + b", "assert a is None"))
    assert "core.py:7: assert a is None (AssertionError)" in exercises.check(exercise)[0]


def test_restart_keeps_previous_working_copies(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    exercise = exercises.load("toy", "1", root=root)
    copies = exercise.work.parent
    exercises.start(exercise).write_text("# mine")
    assert exercises.main(["solve", "toy", "1"]) == 0
    printed = capsys.readouterr().out
    assert f"Your earlier copy was kept: {copies / '1.old1'}\n" in printed
    assert f"A new copy, in which `Sum.add` is solved: {exercise.open_file}\n" in printed
    assert (copies / "1.old1/src/toy/core.py").read_text() == "# mine"
    exercises.start(exercise)
    (copies / "1.old1").rename(copies / "elsewhere")
    exercises.start(exercise)
    assert sorted(path.name for path in copies.iterdir()) == ["1", "1.old1", "1.old2", "elsewhere"]


def test_unknown_exercise_lists_available_ones(root: Path) -> None:
    with pytest.raises(NotFound, match=r"Unknown exercise '7' of toy.*N=1 \(Add\)"):
        exercises.load("toy", "7", root=root)
    exercise = exercises.load("toy", "1", root=root)
    with pytest.raises(NotFound, match="make exercise-t N=1"):
        exercises.check(exercise)
    with pytest.raises(NotFound, match=r"'Sum\.gone' does not exist"):
        exercises.with_gap(CODE, "Sum.gone")


def test_commands_have_no_project_name_outside_the_repository(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert exercises.main(["list"]) == 0
    row = "| 1 Programming | toy     | 1 Add    | 5       | `make exercise-t N=1` | open  |\n"
    assert row in capsys.readouterr().out
    monkeypatch.chdir(root / "projects/toy")
    assert exercises.main(["list"]) == 0
    assert "| `make exercise N=1` | open  |\n" in capsys.readouterr().out
    assert exercises.main(["start", "toy", "1"]) == 0
    assert capsys.readouterr().out.endswith("Then run: make check N=1\n")
    assert exercises.main(["start", "toy"]) == 2
    assert "`make exercise N=1`" in capsys.readouterr().err


def test_list_shows_which_exercises_are_started_and_solved(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def progress() -> tuple[str, str]:
        exercises.main(["list"])
        *_, row, _, summary = capsys.readouterr().out.splitlines()
        return row.split("|")[-2].strip(), summary.partition(".")[0]

    monkeypatch.chdir(root)
    exercise = exercises.load("toy", "1", root=root)
    assert progress() == ("open", "0 of 1 exercises solved, 0 started")
    file = exercises.start(exercise)
    exercises.main(["check", "toy", "1"])
    assert progress() == ("started", "0 of 1 exercises solved, 1 started")
    # The project's own code passes the check, but it is not the participant's solution.
    exercises.main(["solve", "toy", "1"])
    assert exercises.main(["check", "toy", "1"]) == 0
    assert progress() == ("started", "0 of 1 exercises solved, 1 started")
    file.write_text(CODE.replace("a + b", "sum((a, b))"))
    assert exercises.main(["check", "toy", "1"]) == 0
    assert progress() == ("solved", "1 of 1 exercises solved, 0 started")
    exercises.start(exercise)
    assert progress() == ("solved", "1 of 1 exercises solved, 0 started")


def test_hint_is_printed_only_on_request(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert exercises.main(["start", "toy", "1"]) == 0
    assert exercises.main(["check", "toy", "1"]) == 1
    printed = capsys.readouterr().out
    assert "Use +." not in printed
    assert printed.endswith("For a hint, run: make exercise-t N=1 HINT=1\n")
    assert exercises.main(["hint", "toy", "1"]) == 0
    assert capsys.readouterr().out == "Use +.\n"
