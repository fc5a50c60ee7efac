"""Exercises: a copy of a project's code with a gap to fill, and a check of the solution.

    python -m tools.exercises list               a table of all exercises, and which are solved
    python -m tools.exercises start PROJECT 1    a copy with a gap, in var/exercises/PROJECT/1
    python -m tools.exercises check PROJECT 1    what is still wrong; exits 1 until it is solved
    python -m tools.exercises hint PROJECT 1     a hint
    python -m tools.exercises solve PROJECT 1    a new copy, with the project's code in the gap

The verbs `exercise-X` and `check-X` of the Makefile call it. An exercise is a folder
`exercises/1_name` of the project:

- `README.md` explains the task in numbered steps. Its first line is the title, and "about 15
  minutes" in its text the time.
- `exercise.toml` names the gap (`file = "retrieve.py"`, `function = "fuse"` or `"Class.method"`)
  and the `phase` of the learning path, and gives a `hint`.
- `check.py` has functions `check_N_*`, at least one for each step N of the README. Their assertions
  say what was expected and what the solution did.

The gap is cut from the current code, so an exercise always matches the project. The module also
runs in a project that was copied out of the repository, where the verbs are `exercise` and
`check`.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seedbed.errors import BadInput, NotFound, SeedbedError

MESSAGE = "Your code goes here. README.md in the exercise's folder describes it."
_LONGEST_REASON = 500  # characters
_SOLVED = "solved"  # the file in a working copy that has passed the check


@dataclass(frozen=True)
class Exercise:
    """What an exercise's folder says, the package it is cut from, and the working copy."""

    project: str
    number: str
    title: str
    minutes: str
    phase: str  # of the learning path, e.g. "5 Applications"
    folder: Path
    source: Path
    work: Path
    file: str
    function: str
    hint: str
    check_command: str
    start_command: str

    @property
    def open_file(self) -> Path:
        """The file with the gap."""
        return self.work / "src" / self.source.name / self.file

    @property
    def state(self) -> str:
        """Open, started, or solved: then this copy or an earlier one has passed the check."""
        copies = [self.work, *self.work.parent.glob(f"{self.number}.old*")]
        if any((copy / _SOLVED).exists() for copy in copies):
            return "solved"
        return "started" if self.work.exists() else "open"


def load(project: str, number: str, *, root: Path) -> Exercise:
    """Read exercise `number` of a project. Raises NotFound, which lists the available ones."""
    exercises = [exercise for exercise in load_all(root) if exercise.project == project]
    for exercise in exercises:
        if exercise.number == number:
            return exercise
    available = ", ".join(f"N={e.number} ({e.title})" for e in exercises) or "none"
    raise NotFound(f"Unknown exercise {number!r} of {project}.", hint=f"Available: {available}.")


def load_all(root: Path) -> list[Exercise]:
    """The exercises of all projects, or of the one that was copied out of the repository."""
    return [
        _read(file.parent, root)
        for base in sorted(root.glob("projects/*/")) or [root]
        for file in sorted(base.glob("exercises/*/exercise.toml"))
        if _has_file(file)
    ]


def _has_file(settings: Path) -> bool:
    """Whether the file of the gap exists: a starter may delete the folder that contains it."""
    name = tomllib.loads(settings.read_text("utf-8"))["file"]
    return any(settings.parents[2].glob(f"src/*/{name}"))


def _read(folder: Path, root: Path) -> Exercise:
    source = next(folder.parents[1].glob("src/*/__init__.py")).parent
    number = folder.name.partition("_")[0]
    readme = (folder / "README.md").read_text("utf-8")
    minutes = re.search(r"about (\d+) minutes", readme)
    settings = tomllib.loads((folder / "exercise.toml").read_text("utf-8"))
    return Exercise(
        project=source.name,
        number=number,
        title=re.sub(r"^#\s*(\d+\s+)?", "", readme.partition("\n")[0]),
        minutes=minutes[1] if minutes else "",
        phase=settings["phase"],
        folder=folder,
        source=source,
        work=root / "var" / "exercises" / source.name / number,
        file=settings["file"],
        function=settings["function"],
        hint=settings.get("hint", ""),
        check_command=f"{_make_command('check', source.name, root)} N={number}",
        start_command=f"{_make_command('exercise', source.name, root)} N={number}",
    )


def name_in_verbs(project: str, root: Path) -> str:
    """What the Makefile calls `project`, e.g. `rag`; empty in a project that was copied out."""
    makefile = root / "Makefile"
    text = makefile.read_text("utf-8") if makefile.is_file() else ""
    line = re.search(rf"^project-(\S+) := {re.escape(project)}$", text, re.MULTILINE)
    return line[1] if line else ""


def _make_command(verb: str, project: str, root: Path) -> str:
    name = name_in_verbs(project, root)
    return f"make {verb}-{name}" if name else f"make {verb}"


def table(root: Path, *, states: bool = False) -> str:
    """A Markdown table of all exercises, in the order of the learning path."""
    exercises = sorted(load_all(root), key=lambda e: (e.phase, e.project, e.number))
    rows = [["phase", "project", "exercise", "minutes", "start"]]
    rows += [
        [e.phase, e.project, f"{e.number} {e.title}", e.minutes, f"`{e.start_command}`"]
        for e in exercises
    ]
    if states:
        for row, state in zip(rows, ["state", *(e.state for e in exercises)], strict=True):
            row.append(state)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in rows
    ]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def progress(root: Path) -> str:
    """The table with the state of each exercise, and how many are solved."""
    states = [exercise.state for exercise in load_all(root)]
    return (
        f"{table(root, states=True)}\n\n"
        f"{states.count('solved')} of {len(states)} exercises solved, "
        f"{states.count('started')} started. HINT=1 prints a hint, SOLUTION=1 the solution."
    )


def set_aside(exercise: Exercise) -> Path | None:
    """Rename an earlier working copy to `N.old1`, `N.old2` …; returns where it is, if there is one.

    A new copy never overwrites a participant's work.
    """
    if not exercise.work.exists():
        return None
    count = 1
    while (target := exercise.work.with_name(f"{exercise.work.name}.old{count}")).exists():
        count += 1
    return exercise.work.rename(target)


def start(exercise: Exercise) -> Path:
    """Copy the package with the gap in it; returns the file to write in."""
    set_aside(exercise)
    target = exercise.work / "src" / exercise.source.name
    shutil.copytree(exercise.source, target, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(exercise.folder / "README.md", exercise.work / "README.md")
    text = (exercise.source / exercise.file).read_text("utf-8")
    exercise.open_file.write_text(with_gap(text, exercise.function), "utf-8")
    return exercise.open_file


def solve(exercise: Exercise) -> Path:
    """Make a new copy and fill the gap with the project's own code."""
    start(exercise)
    shutil.copy2(exercise.source / exercise.file, exercise.open_file)
    return exercise.open_file


def with_gap(text: str, function: str) -> str:
    """Replace the body of `function` in this source code with an error; its docstring stays.

    A generator remains one, by a `yield` that is never reached.

    >>> print(with_gap("def double(x):\\n    return 2 * x\\n", "double"))  # doctest: +ELLIPSIS
    def double(x):
        raise NotImplementedError(...)
    <BLANKLINE>
    """
    node = _find(ast.parse(text), function)
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body:
        raise BadInput(f"{function!r} has only a docstring; there is no body to remove.")
    lines = text.splitlines(keepends=True)
    indent = " " * body[0].col_offset
    gap = f'{indent}raise NotImplementedError("{MESSAGE}")\n'
    if any(isinstance(child, ast.Yield) for child in ast.walk(node)):
        gap += f"{indent}yield\n"
    end = body[-1].end_lineno or body[-1].lineno
    return "".join([*lines[: body[0].lineno - 1], gap, *lines[end:]])


def _find(tree: ast.Module, function: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    node: ast.AST = tree
    for name in function.split("."):
        matches = [child for child in ast.walk(node) if getattr(child, "name", None) == name]
        if not matches:
            raise NotFound(
                f"Function {function!r} does not exist.", hint="Correct it in exercise.toml."
            )
        node = matches[0]
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        raise BadInput(f"{function!r} is not a function.")
    return node


def check(exercise: Exercise, *, seconds: float = 120) -> list[str]:
    """Run the check; returns one line for each failure, and none when the exercise is solved.

    It runs in a new process, in which the working copy is imported instead of the project.
    """
    if not exercise.open_file.exists():
        raise NotFound(f"{exercise.work} does not exist.", hint=f"Run: {exercise.start_command}")
    path = [str(exercise.work / "src"), os.environ.get("PYTHONPATH", "")]
    import_copy = {
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    check_file = exercise.folder / "check.py"
    try:
        done = subprocess.run(
            [sys.executable, __file__, "run", str(check_file), str(exercise.open_file)],
            env={**os.environ, **import_copy},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return [f"✗ the check did not finish within {seconds:g} s: is there an endless loop?"]
    failures = [line for line in done.stdout.splitlines() if line.startswith("✗ ")]
    if done.returncode and not failures:
        reason = (done.stderr.strip() or "no error message").splitlines()[-1]
        failures.append(f"✗ the check did not run: {reason}")
    return failures


def run_check(check_file: Path, solution: Path) -> list[str]:
    """Call each `check_*` function of a file; returns one line for each reason of a failure.

    Checks that fail for the same reason share a line: one mistake may stop all of them.
    """
    spec = importlib.util.spec_from_file_location("exercise_check", check_file)
    if spec is None or spec.loader is None:
        raise NotFound(f"{check_file} does not exist.")
    module = importlib.util.module_from_spec(spec)
    failures: dict[str, list[str]] = {}  # titles by reason
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a syntax error, or one at import
        failures[_reason(error, check_file, solution)] = ["the code cannot be imported"]
    for name, function in list(vars(module).items()):
        if not name.startswith("check_"):
            continue
        number, _, title = name.removeprefix("check_").partition("_")
        try:
            function()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a solution may raise anything, CancelledError too
            reason = _reason(error, check_file, solution)
            failures.setdefault(reason, []).append(f"step {number}: {title.replace('_', ' ')}")
    lines = []
    for reason, titles in failures.items():
        more = f" (and {len(titles) - 1} more)" if len(titles) > 1 else ""
        lines.append(f"✗ {titles[0]}{more}: {reason}")
    return lines


def _reason(error: BaseException, check_file: Path, solution: Path) -> str:
    """The message of a failed check, or the line where the solution raised something else."""
    if isinstance(error, NotImplementedError) and str(error) == MESSAGE:
        return "not written yet"
    frames = traceback.extract_tb(error.__traceback__)
    places = [(frame.filename, frame.lineno, frame.line) for frame in frames]
    if isinstance(error, AssertionError) and places[-1][0] == str(check_file):
        return _one_line(str(error) or "the assertion failed")
    message = str(error)
    if isinstance(error, SyntaxError):
        message = error.msg
        places.append((error.filename or "", error.lineno, error.text))
    # A result of the wrong type makes the check itself fail; then its line is the best there is.
    for file in (str(solution), str(check_file), places[-1][0]):
        if matches := [place for place in places if place[0] == file]:
            _, number, line = matches[-1]
            break
    kind = f"{type(error).__name__}: {message}" if message else type(error).__name__
    return _one_line(f"{Path(file).name}:{number}: {line or ''} ({kind})")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]} …"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the top of this file."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    root = Path.cwd()
    try:
        match words:
            case ["list"]:
                print(progress(root))
            case ["run", check_file, solution]:
                failures = run_check(Path(check_file), Path(solution))
                print("\n".join(failures))
                return int(bool(failures))
            case ["start" | "solve" as verb, project, number]:
                _make_copy(load(project, number, root=root), solved=verb == "solve")
            case ["hint", project, number]:
                print(load(project, number, root=root).hint or "This exercise has no hint.")
            case ["check", project, number]:
                exercise = load(project, number, root=root)
                return _print_failures(exercise, check(exercise))
            case _:
                print(f"Choose an exercise with N=:\n\n{table(root)}", file=sys.stderr)
                return 2
    except SeedbedError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _make_copy(exercise: Exercise, *, solved: bool) -> None:
    previous = set_aside(exercise)
    if previous is not None:
        print(f"Your earlier copy was kept: {previous}")
    if solved:
        print(f"A new copy, in which `{exercise.function}` is solved: {solve(exercise)}")
    else:
        print(f"Write `{exercise.function}` in {start(exercise)}")
        print(f"The task: {exercise.work}/README.md")
        print(f"A hint, or a copy with the solution: {exercise.start_command} HINT=1, SOLUTION=1")
    print(f"Then run: {exercise.check_command}")


def _print_failures(exercise: Exercise, failures: list[str]) -> int:
    if not failures:
        if exercise.open_file.read_bytes() != (exercise.source / exercise.file).read_bytes():
            (exercise.work / _SOLVED).touch()  # by the participant, not by `solve`
        print(f"Solved. Compare with the project's own code: {exercise.source / exercise.file}")
        return 0
    print("\n".join(failures))
    if exercise.hint:
        print(f"For a hint, run: {exercise.start_command} HINT=1")
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
