"""Exercises: a copy of a project's code with a gap to fill, and a check of the solution.

    python -m tools.exercises list               all exercises
    python -m tools.exercises start PROJECT 1    a copy with a gap, in var/exercises/PROJECT/1
    python -m tools.exercises check PROJECT 1    what is still wrong; exits 1 until it is solved
    python -m tools.exercises solve PROJECT 1    a new copy, with the project's code in the gap

The verbs `exercise-X` and `check-X` of the Makefile call it. An exercise is a folder
`exercises/1_name` of the project:

- `README.md` explains the task; its first line is the title.
- `exercise.toml` names the gap (`file = "retrieve.py"`, `function = "fuse"` or `"Class.method"`)
  and gives a `hint`.
- `check.py` has functions `check_*`, whose assertions explain what is wrong.

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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seedbed.errors import BadInput, NotFound, SeedbedError

MESSAGE = "Your code goes here. README.md in the exercise's folder describes it."


@dataclass(frozen=True)
class Exercise:
    """The folder that describes an exercise, the package it is cut from, and the working copy."""

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


def load(project: str, number: str, *, root: Path) -> Exercise:
    """Read exercise `number` of a project. Raises NotFound, which lists the available ones."""
    import tomllib

    base = _project_folder(project, root)
    folder = next((f for f in _folders(base) if _number(f) == number), None)
    if folder is None:
        available = ", ".join(f"N={_number(f)} ({_title(f)})" for f in _folders(base)) or "none"
        raise NotFound(
            f"Unknown exercise {number!r} of {project}.", hint=f"Available: {available}."
        )
    settings = tomllib.loads((folder / "exercise.toml").read_text("utf-8"))
    return Exercise(
        folder=folder,
        source=base / "src" / project,
        work=root / "var" / "exercises" / project / number,
        file=settings["file"],
        function=settings["function"],
        hint=settings.get("hint", ""),
        check_command=f"{_make_command('check', project, root)} N={number}",
        start_command=f"{_make_command('exercise', project, root)} N={number}",
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


def overview(root: Path) -> str:
    """One line for each exercise: the command that starts it, and its title."""
    bases = sorted(root.glob("projects/*/")) or [root]
    lines = []
    for base in bases:
        project = base.name if base != root else ""
        for folder in _folders(base):
            command = f"{_make_command('exercise', project, root)} N={_number(folder)}"
            lines.append(f"{command:28} {_title(folder)}")
    return "\n".join(lines)


def _project_folder(project: str, root: Path) -> Path:
    return root / "projects" / project if (root / "projects").is_dir() else root


def _folders(base: Path) -> list[Path]:
    return sorted(path.parent for path in base.glob("exercises/*/exercise.toml"))


def _number(folder: Path) -> str:
    return folder.name.partition("_")[0]


def _title(folder: Path) -> str:
    """The heading of the README, without `# 1 `."""
    first = (folder / "README.md").read_text("utf-8").partition("\n")[0]
    return re.sub(r"^#\s*(\d+\s+)?", "", first)


def start(exercise: Exercise) -> Path:
    """Copy the package with the gap in it; an earlier copy is kept as `N.old1`, `N.old2` …"""
    if exercise.work.exists():
        count = len(list(exercise.work.parent.glob(f"{exercise.work.name}.old*")))
        exercise.work.rename(exercise.work.with_name(f"{exercise.work.name}.old{count + 1}"))
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
    gap = f'{" " * body[0].col_offset}raise NotImplementedError("{MESSAGE}")\n'
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
    import_copy = {"PYTHONPATH": str(exercise.work / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, __file__, "run", str(exercise.folder / "check.py")],
            env={**os.environ, **import_copy},
            capture_output=True,
            text=True,
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


def _run(path: Path) -> int:
    """Call each `check_*` function of a file and print its result; returns 1 if one failed."""
    spec = importlib.util.spec_from_file_location("exercise_check", path)
    if spec is None or spec.loader is None:
        raise NotFound(f"{path} does not exist.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    failed = False
    for name, function in list(vars(module).items()):
        if not name.startswith("check_"):
            continue
        title = name.removeprefix("check_").replace("_", " ")
        try:
            function()
            print(f"✓ {title}")
        except Exception as error:  # a solution may raise anything: show it to the participant
            print(f"✗ {title}: {_reason(error)}")
            failed = True
    return int(failed)


def _reason(error: Exception) -> str:
    if isinstance(error, NotImplementedError) and str(error) == MESSAGE:
        return "not written yet"
    text = str(error) if isinstance(error, AssertionError) else repr(error)
    return " ".join(text.split()) or "the assertion failed"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; see the top of this file."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    root = Path.cwd()
    try:
        match words:
            case ["list"]:
                print(overview(root))
            case ["run", path]:
                return _run(Path(path))
            case ["start" | "solve" as verb, project, number]:
                exercise = load(project, number, root=root)
                if verb == "solve":
                    print(f"Filled the gap: {solve(exercise)}")
                else:
                    print(f"Write `{exercise.function}` in {start(exercise)}")
                    print(f"The task: {exercise.work}/README.md")
                print(f"Then run: {exercise.check_command}")
            case ["check", project, number]:
                exercise = load(project, number, root=root)
                return _print_failures(exercise, check(exercise))
            case _:
                print(f"Choose an exercise with N=:\n{overview(root)}", file=sys.stderr)
                return 2
    except SeedbedError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _print_failures(exercise: Exercise, failures: list[str]) -> int:
    if not failures:
        print(f"Solved. Compare with the project's own code: {exercise.source / exercise.file}")
        return 0
    print("\n".join(failures))
    if exercise.hint:
        print("Hint:", exercise.hint)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
