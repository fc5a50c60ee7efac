"""`tools.exercises`: gaps are cut from real code, and checks report failures until solved."""

from pathlib import Path

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

def check_small_numbers():
    assert Sum().add(1, 2) == 3, "1 and 2 make 3"

def check_the_rest_still_works():
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
    (folder / "README.md").write_text("# Add\n")
    (folder / "check.py").write_text(CHECK)
    (folder / "exercise.toml").write_text('file = "core.py"\nfunction = "Sum.add"\nhint = "Use +."')
    return tmp_path


def test_gap_keeps_signature_docstring_and_surrounding_code() -> None:
    text = exercises.with_gap(CODE, "Sum.add")
    assert '"""Their sum."""\n        raise NotImplementedError(' in text
    assert "total" not in text
    assert "return 1" in text
    compile(text, "toy", "exec")


def test_check_reports_failures_until_solved(root: Path) -> None:
    exercise = exercises.load("toy", "1", root=root)
    file = exercises.start(exercise)
    assert exercises.check(exercise) == ["✗ small numbers: not written yet"]
    file.write_text(CODE.replace("a + b", "a - b"))
    assert exercises.check(exercise) == ["✗ small numbers: 1 and 2 make 3"]
    file.write_text("def broken(:\n")
    assert "SyntaxError" in exercises.check(exercise)[0]
    file.write_text("while True: pass\n")
    assert "did not finish within 0.2 s" in exercises.check(exercise, seconds=0.2)[0]
    exercises.solve(exercise)
    assert exercises.check(exercise) == []
    previous = exercise.work.with_name("1.old1") / "src/toy/core.py"
    assert previous.read_text() == "while True: pass\n"


def test_restart_keeps_previous_working_copy(root: Path) -> None:
    exercise = exercises.load("toy", "1", root=root)
    exercises.start(exercise).write_text("# mine")
    exercises.start(exercise)
    assert (exercise.work.with_name("1.old1") / "src/toy/core.py").read_text() == "# mine"


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
    assert capsys.readouterr().out == "make exercise-t N=1          Add\n"
    monkeypatch.chdir(root / "projects/toy")
    assert exercises.main(["list"]) == 0
    assert capsys.readouterr().out == "make exercise N=1            Add\n"
    assert exercises.main(["start", "toy", "1"]) == 0
    assert capsys.readouterr().out.endswith("Then run: make check N=1\n")
    assert exercises.main(["start", "toy"]) == 2
    assert "make exercise N=1 " in capsys.readouterr().err
