"""Every test has an assertion."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = sorted(
    path
    for pattern in ("tests/**/*.py", "shared/tests/**/*.py", "projects/*/tests/**/*.py")
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


def module(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))
