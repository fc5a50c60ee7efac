"""Rules for all code: tests have assertions, nothing is mocked, every module has a docstring.

`pytest -rP tests/test_quality.py` also prints the sizes of files and functions.
"""

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
    """Whether it has an assertion, itself or in a helper that it calls."""
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


def test_every_test_has_an_assertion() -> None:
    assert [name for path in TESTS for name in without_assertion(path)] == []


def test_test_without_assertion_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "test_x.py"
    path.write_text(
        "def helper():\n    assert 1\ndef test_a():\n    print(1)\ndef test_b():\n    helper()\n"
    )
    assert without_assertion(path) == ["test_x.py::test_a"]


def test_no_file_imports_a_mock_library() -> None:
    candidates = [path for path in TESTS + SOURCES if "mock" in path.read_text("utf-8")]
    assert [path.name for path in candidates if uses_mocks(path)] == []


def uses_mocks(path: Path) -> bool:
    for node in ast.walk(module(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            start = getattr(node, "module", None) or ""
            names = [f"{start}.{alias.name}".strip(".") for alias in node.names]
            if any(name.startswith(("unittest.mock", "mock.")) for name in [start, *names]):
                return True
    return False


def test_comments_contain_no_todo() -> None:
    todos = [
        f"{path.name}:{number}"
        for path in TESTS + SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(r"#\s*(TODO|FIXME|XXX)\b", line)
    ]
    assert todos == []


def test_every_module_has_a_docstring() -> None:
    missing = [str(p.relative_to(ROOT)) for p in SOURCES if not ast.get_docstring(module(p))]
    assert missing == []


def module(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def test_sizes_of_files_and_functions_are_printed() -> None:
    """A file is as long as its concept needs; most are 100 to 400 lines, functions below 40."""
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    functions_by_length = {
        f"{path.stem}.{f.name}": (f.end_lineno or 0) - f.lineno + 1
        for path in SOURCES
        for f in functions(path)
    }
    for folder in sorted({path.parents[0] for path in SOURCES}):
        of_folder = [count for path, count in lines.items() if path.parents[0] == folder]
        print(f"{folder.relative_to(ROOT)}: {len(of_folder)} files, {sum(of_folder)} lines")
    print("longest files:", top({p.name: n for p, n in lines.items()}))
    print("longest functions:", top(functions_by_length))
    assert all(lines.values()), "a source file is empty"


def top(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {c}" for n, c in sorted(counts.items(), key=lambda x: -x[1])[:8])
