"""A gap is cut from real code, and the check tells a gap from a solution."""

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

    def kept(self) -> int:
        return 1
'''
CHECK = """\
from toy.core import Sum

def check_small_numbers():
    assert Sum().add(1, 2) == 3, "1 and 2 make 3"

def check_the_rest_still_works():
    assert Sum().kept() == 1
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    package = tmp_path / "projects/toy/src/toy"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "core.py").write_text(CODE)
    folder = tmp_path / "projects/toy/exercises/1_add"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("# Add\n")
    (folder / "check.py").write_text(CHECK)
    (folder / "exercise.toml").write_text('file = "core.py"\nfunction = "Sum.add"\nhint = "Use +."')
    return tmp_path


def test_the_gap_keeps_signature_docstring_and_everything_around() -> None:
    text = exercises.with_gap(CODE, "Sum.add")
    assert '"""Their sum."""\n        raise NotImplementedError(' in text
    assert "total" not in text
    assert "return 1" in text
    compile(text, "toy", "exec")


def test_check_says_what_is_wrong_until_it_is_solved(root: Path) -> None:
    exercise = exercises.load("toy", "1", root=root)
    file = exercises.start(exercise)
    wrong = exercises.check(exercise)
    assert wrong == ["✗ small numbers: not written yet"]
    file.write_text(CODE.replace("a + b", "a - b"))
    assert exercises.check(exercise) == ["✗ small numbers: 1 and 2 make 3"]
    file.write_text("def broken(:\n")
    assert "SyntaxError" in exercises.check(exercise)[0]
    file.write_text("while True: pass\n")
    assert "did not end within 0.2 s" in exercises.check(exercise, seconds=0.2)[0]
    exercises.solve(exercise)
    assert exercises.check(exercise) == []
    kept = exercise.work.with_name("1.old1") / "src/toy/core.py"
    assert kept.read_text() == "while True: pass\n"


def test_starting_again_keeps_what_was_written(root: Path) -> None:
    exercise = exercises.load("toy", "1", root=root)
    exercises.start(exercise).write_text("# mine")
    exercises.start(exercise)
    assert (exercise.work.with_name("1.old1") / "src/toy/core.py").read_text() == "# mine"


def test_an_unknown_exercise_lists_the_known_ones(root: Path) -> None:
    with pytest.raises(NotFound, match=r"no exercise '7'.*N=1 \(1_add\)"):
        exercises.load("toy", "7", root=root)
    exercise = exercises.load("toy", "1", root=root)
    with pytest.raises(NotFound, match="make exercise"):
        exercises.check(exercise)
    with pytest.raises(NotFound, match=r"no 'Sum\.gone'"):
        exercises.with_gap(CODE, "Sum.gone")
