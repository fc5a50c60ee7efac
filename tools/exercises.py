"""Exercises: a copy of a project's code with a gap to fill, and a check of the solution.

    python -m tools.exercises list               a table of all exercises
    python -m tools.exercises start PROJECT 1    a copy with a gap, in var/exercises/PROJECT/1
    python -m tools.exercises check PROJECT 1    what is still wrong; exits 1 until it is solved
    python -m tools.exercises hint PROJECT 1     a hint
    python -m tools.exercises solve PROJECT 1    the project's own code for the gap

The verbs `exercise-X` and `check-X` of the Makefile call it; in a project that was copied out, they
are `exercise` and `check`. An exercise is a folder `exercises/1_name` of the project:

- `README.md` explains the task in numbered steps. Its first line is the title, and "about 15
  minutes" in its text the time.
- `exercise.toml` names the gap (`file = "retrieve.py"`, `function = "fuse"` or `"Class.method"`)
  and the `phase` of the learning path, gives a `hint`, and lists `tests` of the project.
- `check.py` has a function `check_N_*` for each step N of the README that the tests do not prove
  alone. Its assertion says what was expected and what the solution did.

`check` calls these functions and, once all pass, runs the listed tests on the copy. The gap is cut
from the current code, so an exercise always matches the project.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedbed.errors import BadInput, NotFound, SeedbedError

MESSAGE = "Your code goes here. README.md in the exercise's folder describes it."


@dataclass(frozen=True)
class Exercise:
    """The content of an exercise's folder, the package it is cut from, and the working copy."""

    project: str
    number: str
    title: str
    minutes: str
    folder: Path
    source: Path  # the package
    work: Path
    start_command: str
    check_command: str
    phase: str  # of the learning path, e.g. "5 Applications"
    file: str
    function: str
    hint: str
    tests: Sequence[str] = ()  # node ids of pytest, from the project's folder

    @property
    def open_file(self) -> Path:
        """The file with the gap."""
        return self.work / "src" / self.source.name / self.file


def load(project: str, number: str, *, root: Path) -> Exercise:
    """Read exercise `number` of a project. Raises NotFound, which lists the available ones."""
    exercises = {e.number: e for e in load_all(root) if e.project == project}
    if number in exercises:
        return exercises[number]
    available = ", ".join(f"N={e.number} ({e.title})" for e in exercises.values()) or "none"
    raise NotFound(f"Unknown exercise {number!r} of {project}.", hint=f"Available: {available}.")


def load_all(root: Path) -> list[Exercise]:
    """The exercises of all projects, or of the one that was copied out of the repository."""
    exercises = [
        _read(file.parent, root)
        for base in sorted(root.glob("projects/*/")) or [root]
        for file in sorted(base.glob("exercises/*/exercise.toml"))
    ]
    # A starter may have deleted the folder that contains the file.
    return [exercise for exercise in exercises if (exercise.source / exercise.file).exists()]


def _read(folder: Path, root: Path) -> Exercise:
    source = next(folder.parents[1].glob("src/*/__init__.py")).parent
    number = folder.name.partition("_")[0]
    readme = (folder / "README.md").read_text("utf-8")
    minutes = re.search(r"about (\d+) minutes", readme)
    name = name_in_verbs(source.name, root)
    suffix = f"-{name} N={number}" if name else f" N={number}"
    return Exercise(
        project=source.name,
        number=number,
        title=re.sub(r"^#\s*(\d+\s+)?", "", readme.partition("\n")[0]),
        minutes=minutes[1] if minutes else "",
        folder=folder,
        source=source,
        work=root / "var" / "exercises" / source.name / number,
        start_command=f"make exercise{suffix}",
        check_command=f"make check{suffix}",
        **tomllib.loads((folder / "exercise.toml").read_text("utf-8")),
    )


def name_in_verbs(project: str, root: Path) -> str:
    """What the Makefile calls `project`, e.g. `rag`; empty in a project that was copied out."""
    text = "".join(file.read_text("utf-8") for file in root.glob("Makefile"))
    line = re.search(rf"^project-(\S+) := {re.escape(project)}$", text, re.MULTILINE)
    return line[1] if line else ""


def table(root: Path) -> str:
    """A Markdown table of all exercises, in the order of the learning path."""
    exercises = sorted(load_all(root), key=lambda e: (e.phase, e.project, e.number))
    rows = [["phase", "project", "exercise", "minutes", "start"]]
    rows += [
        [e.phase, e.project, f"{e.number} {e.title}", e.minutes, f"`{e.start_command}`"]
        for e in exercises
    ]
    columns = list(zip(*rows, strict=True))
    padded = [[cell.ljust(max(map(len, column))) for cell in column] for column in columns]
    lines = [f"| {' | '.join(row)} |" for row in zip(*padded, strict=True)]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def start(exercise: Exercise) -> None:
    """Copy the package, with the gap in it. Raises BadInput if there is a copy already."""
    if exercise.work.exists():
        raise BadInput(f"{exercise.work} exists.", hint="Delete or rename it to start again.")
    target = exercise.work / "src" / exercise.source.name
    shutil.copytree(exercise.source, target, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(exercise.folder / "README.md", exercise.work / "README.md")
    text = exercise.open_file.read_text("utf-8")
    exercise.open_file.write_text(with_gap(text, exercise.function), "utf-8")


def solution(exercise: Exercise) -> str:
    """The project's own code of the function."""
    text = (exercise.source / exercise.file).read_text("utf-8")
    return ast.get_source_segment(text, _find(text, exercise.function), padded=True) or ""


def with_gap(text: str, function: str) -> str:
    """Replace the body of `function` in this source code with an error; its docstring stays."""
    node = _find(text, function)
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    lines = text.splitlines(keepends=True)
    indent = " " * body[0].col_offset
    gap = f'{indent}raise NotImplementedError("{MESSAGE}")\n'
    if any(isinstance(child, ast.Yield) for child in ast.walk(node)):
        gap += f"{indent}yield\n"  # never reached, but the function remains a generator
    return "".join([*lines[: body[0].lineno - 1], gap, *lines[node.end_lineno :]])


def _find(text: str, function: str) -> ast.FunctionDef:
    """The syntax tree of a function, synchronous or not, or of a method."""
    node: Any = ast.parse(text)
    for name in function.split("."):
        matches = (child for child in ast.walk(node) if getattr(child, "name", None) == name)
        if (node := next(matches, None)) is None:
            raise NotFound(f"{function!r} does not exist.", hint="Correct it in exercise.toml.")
    return node  # type: ignore[no-any-return]


def check(exercise: Exercise, *, seconds: float = 120) -> list[str]:
    """Run the check; returns one line for each failure, and none when the exercise is solved.

    It runs in a new process, in which the working copy is imported instead of the project.
    """
    if not exercise.open_file.exists():
        raise NotFound(f"{exercise.work} does not exist.", hint=f"Run: {exercise.start_command}")
    path = [str(exercise.work / "src"), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8"}
    try:
        process = subprocess.run(
            [sys.executable, __file__, "run", exercise.folder, exercise.open_file, *exercise.tests],
            env=env,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return [f"✗ the check did not finish within {seconds:g} s: is there an endless loop?"]
    failures = [line for line in process.stdout.splitlines() if line.startswith("✗ ")]
    if process.returncode and not failures:
        failures.append(f"✗ the check did not run: {process.stderr.strip()}")
    return failures


def run(folder: Path, open_file: Path, tests: Sequence[str]) -> list[str]:
    """Call the functions of an exercise's check.py and, if none fails, run tests of its project.

    Returns one line for each failure. The working copy must be first in this process's `sys.path`.
    """
    import pytest  # here, so that everything else needs the standard library only

    failures: list[str] = []

    class Reporter:
        def pytest_exception_interact(self, node: Any, call: Any) -> None:
            step = re.match(r"check_(\d+)_(.*)", node.name)
            title = f"step {step[1]}: {step[2].replace('_', ' ')}" if step else node.nodeid
            failures.append(f"✗ {title}: {_reason(call.excinfo.value, open_file)}")

    project = folder.parents[1]
    # The repository's conftest.py, its options and installed plugins are not needed here.
    options = ["--confcutdir", project, "--disable-plugin-autoload", "--import-mode=importlib"]
    options += ["-m", "not slow", "-o", "addopts=", "-o", "python_functions=check_[0-9]* test_*"]
    options += ["-p", "no:cacheprovider", "-p", "no:terminal", "-p", "pytest_asyncio.plugin"]
    for files in ([folder / "check.py"], [project / test for test in tests]):
        if files and not failures:
            code = pytest.main([*map(str, options), *map(str, files)], plugins=[Reporter()])
            if code and not failures:
                failures.append(f"✗ pytest ended with {code!r}")
    return failures


def _reason(error: BaseException, open_file: Path) -> str:
    """The message of an error in one line, with the last line of the solution that led to it."""
    error = error.__cause__ or error  # pytest wraps what is raised at import
    if isinstance(error, NotImplementedError) and str(error) == MESSAGE:
        return "not written yet"
    text = "".join(traceback.format_exception_only(error))
    if message := re.match(r"AssertionError: (.+)", text):
        text = message[1]  # its first line: pytest adds values to the message of a check
    frames = traceback.extract_tb(error.__traceback__)
    for frame in [frame for frame in frames if frame.filename == str(open_file)][-1:]:
        text = f"{open_file.name}:{frame.lineno}: {frame.line} ({text.strip()})"
    return textwrap.shorten(text, 500, placeholder=" …")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the top of this file."""
    match list(sys.argv[1:] if arguments is None else arguments):
        case ["list"]:
            print(f"{table(Path.cwd())}\n\nHINT=1 prints a hint, SOLUTION=1 the solution.")
        case ["run", folder, open_file, *tests]:
            failures = run(Path(folder), Path(open_file), tests)
            print("\n".join(failures))
            return int(bool(failures))
        case ["start" | "hint" | "solve" | "check" as verb, project, number]:
            try:
                return _answer(verb, load(project, number, root=Path.cwd()))
            except SeedbedError as error:
                print(error, file=sys.stderr)
                return 2
        case _:
            print(f"Choose an exercise with N=:\n\n{table(Path.cwd())}", file=sys.stderr)
            return 2
    return 0


def _answer(verb: str, exercise: Exercise) -> int:
    """Run a verb on an exercise and print its result; returns 1 if the check failed."""
    if verb == "start":
        start(exercise)
        print(f"Write `{exercise.function}` in {exercise.open_file}")
        print(f"The task: {exercise.work / 'README.md'}")
        print(f"A hint, or the solution: {exercise.start_command} HINT=1, or SOLUTION=1")
        print(f"Then run: {exercise.check_command}")
    elif verb == "check":
        if failures := check(exercise):
            in_tests = "/tests/" in failures[0]
            hint = exercise.hint if in_tests else f"{exercise.start_command} HINT=1"
            print("\n".join([*failures, f"Hint: {hint}"]))
            return 1
        print(f"Solved. The project's own code: {exercise.start_command} SOLUTION=1")
    else:
        print(exercise.hint if verb == "hint" else solution(exercise))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
