"""Exercises: a gap in a copy of a project's real code, and a check that says what is still wrong.

    python -m tools.exercises start rag_chatbot 1      var/exercises/rag_chatbot/1 with the gap
    python -m tools.exercises check rag_chatbot 1      what is still wrong
    python -m tools.exercises solve rag_chatbot 1      the project's own code in the gap

An exercise is a folder `exercises/1_name` of the project: `README.md` explains it,
`exercise.toml` names the gap (`file = "retrieve.py"`, `function = "fuse"` or `"Class.method"`) and
a `hint`, and `check.py` has functions `check_*` whose assertions say what is wrong. The gap is cut
from the code as it is now, so an exercise cannot drift from it.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seedbed.errors import BadInput, NotFound, SeedbedError

MESSAGE = "Your code goes here: README.md beside this folder says what it should do."


@dataclass(frozen=True)
class Exercise:
    """Where an exercise is described, which code it is about, and where it is worked on."""

    folder: Path
    source: Path
    work: Path
    file: str
    function: str
    hint: str

    @property
    def open_file(self) -> Path:
        """The file with the gap."""
        return self.work / "src" / self.source.name / self.file


def load(project: str, number: str, *, root: Path) -> Exercise:
    """Exercise `number` of a project; NotFound lists those that exist."""
    base = root / "projects" / project if (root / "projects").is_dir() else root
    folders = sorted(path.parent for path in base.glob("exercises/*/exercise.toml"))
    chosen = [folder for folder in folders if folder.name.partition("_")[0] == number]
    if not chosen:
        known = ", ".join(f"N={f.name.partition('_')[0]} ({f.name})" for f in folders) or "none"
        raise NotFound(f"{project} has no exercise {number!r}.", hint=f"There are: {known}.")
    about = tomllib.loads((chosen[0] / "exercise.toml").read_text("utf-8"))
    return Exercise(
        folder=chosen[0],
        source=base / "src" / project,
        work=root / "var" / "exercises" / project / number,
        file=about["file"],
        function=about["function"],
        hint=about.get("hint", ""),
    )


def start(exercise: Exercise) -> Path:
    """Copy the package with the gap in it; what was worked on before is kept under another name."""
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
    """Put the project's own code into the gap of a new copy."""
    start(exercise)
    shutil.copy2(exercise.source / exercise.file, exercise.open_file)
    return exercise.open_file


def with_gap(text: str, function: str) -> str:
    """Source code with the body of `function`, its docstring apart, replaced by an error."""
    node = _find(ast.parse(text), function)
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if not body:
        raise BadInput(f"{function!r} has no body to take out.")
    lines = text.splitlines(keepends=True)
    gap = f'{" " * body[0].col_offset}raise NotImplementedError("{MESSAGE}")\n'
    end = body[-1].end_lineno or body[-1].lineno
    return "".join([*lines[: body[0].lineno - 1], gap, *lines[end:]])


def _find(tree: ast.Module, function: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    found: ast.AST = tree
    for name in function.split("."):
        inside = [node for node in ast.walk(found) if getattr(node, "name", None) == name]
        if not inside:
            raise NotFound(f"There is no {function!r} to take out.", hint="See exercise.toml.")
        found = inside[0]
    if not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
        raise BadInput(f"{function!r} is not a function.")
    return found


def check(exercise: Exercise, *, seconds: float = 120) -> list[str]:
    """What is still wrong, one line for each failing check; empty when the exercise is solved.

    Runs in a process of its own, where the copy is imported in place of the project.
    """
    if not exercise.open_file.exists():
        raise NotFound(
            f"{exercise.work} is not there.", hint="Run make exercise with the same P and N."
        )
    own = {"PYTHONPATH": str(exercise.work / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, __file__, "run", str(exercise.folder / "check.py")],
            env={**os.environ, **own},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return [f"✗ the check did not end within {seconds:g} s: is there a loop without an end?"]
    wrong = [line for line in done.stdout.splitlines() if line.startswith("✗ ")]
    if done.returncode and not wrong:
        wrong.append("✗ the check did not run: " + (done.stderr.strip() or "?").splitlines()[-1])
    return wrong


def _run(path: Path) -> int:
    """Run each `check_*` of a file; prints a line for each and returns 1 if one failed."""
    spec = importlib.util.spec_from_file_location("exercise_check", path)
    if spec is None or spec.loader is None:
        raise NotFound(f"{path} is not there.")
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
        except Exception as error:  # whatever a participant's code raises is the answer
            gap = isinstance(error, NotImplementedError) and str(error) == MESSAGE
            reason = str(error) if isinstance(error, AssertionError) else repr(error)
            reason = "not written yet" if gap else reason
            print(f"✗ {title}: " + (" ".join(reason.split()) or "not so"))
            failed = True
    return int(failed)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m tools.exercises start|check|solve PROJECT NUMBER`, from the root."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verbs = {"start": start, "solve": solve}
    if words[:1] == ["run"] and len(words) == 2:
        return _run(Path(words[1]))
    if len(words) != 3 or words[0] not in {*verbs, "check"}:
        print("Say which: make exercise P=rag_chatbot N=1", file=sys.stderr)
        return 2
    verb, project, number = words
    try:
        exercise = load(project, number, root=Path.cwd())
        if verb == "check":
            return _report(exercise, check(exercise))
        print(f"{verbs[verb](exercise)}: `{exercise.function}` is yours.")
        print(f"Read {exercise.work}/README.md, then: make check-exercise P={project} N={number}")
    except SeedbedError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _report(exercise: Exercise, wrong: list[str]) -> int:
    if not wrong:
        print("Solved. The project's own code is in", exercise.source / exercise.file)
        return 0
    print("\n".join(wrong))
    if exercise.hint:
        print("Hint:", exercise.hint)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
