"""Habits of the code, as facts: tests assert, nothing of ours is patched, sizes are shown."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = sorted(
    path
    for pattern in ("tests/**/*.py", "shared/tests/**/*.py", "projects/*/tests/**/*.py")
    for path in ROOT.glob(pattern)
)
SOURCES = sorted(
    path
    for pattern in ("shared/src/**/*.py", "projects/*/src/**/*.py", "tools/*.py")
    for path in ROOT.glob(pattern)
)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(module(path)):
        if isinstance(node, Function):
            yield node


def asserts(function: Function, helpers: set[str]) -> bool:
    """Whether it states something itself, or through a helper or a test that does."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in {"raises", "warns", "fail"} | helpers or name.startswith(
                ("assert_", "expect", "test_")
            ):
                return True
    return False


def without_assertion(path: Path) -> list[str]:
    known = list(functions(path))
    helpers = {f.name for f in known if not f.name.startswith("test") and asserts(f, set())}
    tests = [f for f in known if f.name.startswith("test")]
    return [f"{path.name}::{f.name}" for f in tests if not asserts(f, helpers)]


def test_every_test_states_something() -> None:
    assert [name for path in TESTS for name in without_assertion(path)] == []


def test_a_test_that_states_nothing_would_be_found(tmp_path: Path) -> None:
    path = tmp_path / "test_x.py"
    path.write_text(
        "def helper():\n    assert 1\ndef test_a():\n    print(1)\ndef test_b():\n    helper()\n"
    )
    assert without_assertion(path) == ["test_x.py::test_a"]


def test_nothing_is_patched_with_a_mock_library() -> None:
    candidates = [path for path in TESTS + SOURCES if "mock" in path.read_text("utf-8")]
    found = [path.name for path in candidates if uses_mocks(path)]
    assert found == []


def uses_mocks(path: Path) -> bool:
    for node in ast.walk(module(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            start = getattr(node, "module", None) or ""
            names = [f"{start}.{alias.name}".strip(".") for alias in node.names]
            if any(name.startswith(("unittest.mock", "mock.")) for name in [start, *names]):
                return True
    return False


def test_no_work_is_left_in_comments() -> None:
    left = [
        f"{path.name}:{number}"
        for path in TESTS + SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"#\s*(TODO|FIXME|XXX)\b", line)
    ]
    assert left == []


def test_modules_open_by_saying_what_they_are() -> None:
    silent = [str(p.relative_to(ROOT)) for p in SOURCES if not ast.get_docstring(module(p))]
    assert silent == []


def module(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def test_files_stay_of_a_size_to_be_read() -> None:
    """The habit is some 300 lines a file and 40 a function; `-rP` shows the figures."""
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    long = {
        f"{path.stem}.{f.name}": (f.end_lineno or 0) - f.lineno + 1
        for path in SOURCES
        for f in functions(path)
    }
    for folder in sorted({path.parents[0] for path in SOURCES}):
        of_folder = [count for path, count in lines.items() if path.parents[0] == folder]
        print(f"{folder.relative_to(ROOT)}: {len(of_folder)} files, {sum(of_folder)} lines")
    print("longest files:", top({p.name: n for p, n in lines.items()}))
    print("longest functions:", top(long))
    assert [str(path.relative_to(ROOT)) for path, count in lines.items() if count > 350] == []


def top(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {c}" for n, c in sorted(counts.items(), key=lambda x: -x[1])[:8])
