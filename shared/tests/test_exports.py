"""`import seedbed` offers a fixed set of names and imports their modules on first use."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import seedbed

SHARED = Path(__file__).parents[1]
NAMES = [
    "BadInput",
    "Busy",
    "Caller",
    "ConfigError",
    "Engine",
    "Figure",
    "HashEmbeddings",
    "NotFound",
    "Report",
    "Sampling",
    "ScriptedChatModel",
    "SeedbedError",
    "Settings",
    "Unavailable",
    "create_app",
    "load",
    "load_chat_model",
    "load_embeddings",
    "load_prompt",
    "load_reranker",
    "ndcg_at_k",
    "paired_bootstrap",
    "redact",
    "screen_injection",
    "serve",
    "span",
]


def run(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_exports_are_the_listed_names() -> None:
    assert sorted(seedbed.__all__) == sorted(NAMES)
    assert set(NAMES) <= set(dir(seedbed))


@pytest.mark.parametrize("name", NAMES)
def test_name_is_defined_in_its_module(name: str) -> None:
    home = importlib.import_module(f"seedbed.{seedbed._HOME[name]}")
    value = getattr(seedbed, name)
    assert value is getattr(home, name)
    assert name == "Caller" or value.__module__ == home.__name__


def test_type_checkers_get_the_same_modules() -> None:
    tree = ast.parse(Path(str(seedbed.__file__)).read_text("utf-8"))
    guard = next(node for node in tree.body if isinstance(node, ast.If))
    modules_by_name = {
        alias.name: str(node.module).removeprefix("seedbed.")
        for node in guard.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert modules_by_name == seedbed._HOME


@pytest.mark.slow
def test_readme_lists_the_modules_and_its_example_runs() -> None:
    text = (SHARED / "README.md").read_text("utf-8")
    table = text.partition("## Modules")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    modules = {path.stem for path in (SHARED / "src/seedbed").iterdir()} - {
        "__init__",
        "__pycache__",
    }
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == modules
    example = text.partition("```python\n")[2].partition("```")[0]
    assert run(example + "print(len(vectors), len(vectors[0]))").endswith("2 384")


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'seedbed' has no attribute 'load_everything'"):
        _ = seedbed.load_everything


def test_import_loads_only_the_standard_library() -> None:
    modules = run(
        "import sys; before = set(sys.modules); import seedbed;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    assert set(modules.split()) - set(sys.stdlib_module_names) == {"seedbed"}


def test_light_name_imports_no_heavy_package() -> None:
    modules = run(
        "import sys; from seedbed import redact, SeedbedError, Report; print(*sys.modules)"
    )
    heavy = {"numpy", "torch", "openvino", "langchain_core", "fastapi", "gradio", "pydantic"}
    assert "seedbed.guardrails" in modules.split()
    assert not heavy & set(modules.split())
