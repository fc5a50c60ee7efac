"""Updates the generated parts of Markdown files and `.env.example`.

    python -m tools.docs            from the repository's root; `make docs` calls it

It exits 1 if anything was out of date, so that CI fails until the new text is committed. A
generated part is between `<!-- KIND: argument -->` and `<!-- end -->`:

    settings: my_bot.config:Config          a table of a settings class
    help: my-bot ask                        the output of `my-bot ask --help`
    result: rag-ingest.chunks_per_second    one figure of benchmarks/results.json, by its path
    result: rag-answers.recall as percent   the same for people: percent, ratio or whole, or
                                            `interval`, a percentage with its interval and n
    measured: rag-answers rag-ingest        at which commits, and whether the code has changed since
    text: my_bot.report:summary             the Markdown that a function returns
    lines: answer/quote talk/mcp.py         the lines of Python that a project saves without them
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.errors import BadInput, NotFound, SeedbedError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

_MARK = re.compile(
    r"<!-- (settings|help|result|text|lines|measured): (.+?) -->(.*?)<!-- end -->", re.DOTALL
)
_PAGES = ("*.md", "docs/**/*.md", "shared/*.md", "vendor/*/*.md", "projects/*/*.md")
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)


def update(root: Path) -> list[Path]:
    """Rewrite the pages below `root` that are out of date; returns them."""
    pages = sorted({page for pattern in _PAGES for page in root.glob(pattern)})
    texts = {page: render(page.read_text("utf-8"), root, page.parent) for page in pages}
    texts[root / ".env.example"] = env_example(root)
    stale = [page for page, text in texts.items() if not _is_current(page, text)]
    for page in stale:
        page.write_text(texts[page], "utf-8")
    return stale


def _is_current(page: Path, text: str) -> bool:
    return page.exists() and page.read_text("utf-8") == text


def render(text: str, root: Path, folder: Path | None = None) -> str:
    """Generate each marked part of `text` again, except inside fenced code.

    `folder` is the project that `lines` counts in.
    """
    fences = [match.span() for match in _FENCE.finditer(text)]

    def part(match: re.Match[str]) -> str:
        if any(start < match.start() < end for start, end in fences):
            return match[0]
        kind, argument = match[1], match[2]
        if kind == "result":
            content = result(root / "benchmarks" / "results.json", argument)
        elif kind == "measured":
            # Not at the top: a copied-out project, which has no figures, lacks it.
            from tools.provenance import note

            results = json.loads((root / "benchmarks" / "results.json").read_text("utf-8"))
            content = note(root, results, argument.split())
        elif kind == "lines":
            content = lines(folder or root, argument)
        else:
            generators = {"settings": settings_table, "help": help_text, "text": function_text}
            content = f"\n{generators[kind](argument)}\n"
        return f"<!-- {kind}: {argument} -->{content}<!-- end -->"

    return _MARK.sub(part, text)


def function_text(spec: str) -> str:
    """The Markdown that the function `module:name` returns."""
    module, _, name = spec.partition(":")
    return str(getattr(importlib.import_module(module), name)())


def settings_table(spec: str) -> str:
    """A Markdown table of the settings class `module:Class`."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, default, meaning in variables(_class(spec)):
        cell = f"`{default}`" if default else ""
        rows.append(f"| `{name}` | {cell} | {meaning} |".replace("|  |", "| |"))
    return "\n".join(rows)


def variables(cls: type[BaseSettings]) -> list[tuple[str, str, str]]:
    """(environment variable, default as text, description) for each field of a settings class."""
    from seedbed.settings import variable

    return [
        (variable(cls, name), _default(field), field.description or "")
        for name, field in cls.model_fields.items()
    ]


def _default(field: FieldInfo) -> str:
    # The value of a default factory depends on the machine; the description explains it.
    if field.default_factory is not None or field.default is None:
        return ""
    value: Any = field.default
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _class(spec: str) -> type[BaseSettings]:
    module, _, name = spec.partition(":")
    try:
        cls: type[BaseSettings] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise NotFound(f"settings: {spec!r}: {error}.", hint="Run: make setup") from None
    return cls


def help_text(command: str) -> str:
    """The output of `command --help`, 90 columns wide, as a fenced block."""
    program, *words = shlex.split(command)
    path = Path(sys.executable).with_name(program)
    plain = {"COLUMNS": "90", "TERMINAL_WIDTH": "90", "NO_COLOR": "1", "TYPER_USE_RICH": "0"}
    done = subprocess.run(
        [str(path) if path.exists() else program, *words, "--help"],
        env={**os.environ, **plain, "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BadInput(f"help: {command!r} failed: {done.stderr.strip()[-300:]}")
    lines = [line.rstrip() for line in done.stdout.strip().splitlines()]
    return "\n".join(["```text", *lines, "```"])


def result(file: Path, path: str) -> str:
    """The figure at a dotted path of the benchmark results; floats have three digits."""
    name, _, form = path.partition(" as ")
    results = json.loads(file.read_text("utf-8")) if file.exists() else {}
    try:
        place, key = find(results, name)
    except KeyError:
        raise NotFound(f"result: {path!r} is not in {file}.", hint="Run: make bench") from None
    value = place[key]
    if form == "interval" and not isinstance(value, dict):
        raise NotFound(f"result: {path!r} has no interval.", hint="Use as percent.")
    if form:
        return _formatted(value, form)
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1000 else f"{value}"


def find(results: Any, path: str) -> tuple[dict[str, Any], str]:
    """Where the figure at a dotted path is, and its key there; a key may have dots itself.

    Raises KeyError if there is none.

    >>> find({"speed": {"llama.cpp": 5}}, "speed.llama.cpp")
    ({'llama.cpp': 5}, 'llama.cpp')
    """
    keys = sorted(results, key=len, reverse=True) if isinstance(results, dict) else []
    key = next((key for key in keys if f"{path}.".startswith(f"{key}.")), None)
    if key is None:
        raise KeyError(path)
    return (results, key) if path == key else find(results[key], path[len(key) + 1 :])


def _formatted(value: Any, form: str) -> str:
    """`value` as `percent` (0.808 → 81 %), `ratio` (1.0 → 1.00×) or `whole` (2426.4 → 2,426).

    A share with "value", "low", "high" and "n" as `interval` (81 % (72 to 88, n = 64)).
    """
    if form == "interval":
        share, low, high = (f"{100 * value[key]:.0f}" for key in ("value", "low", "high"))
        return f"{share} % ({low} to {high}, n = {value['n']})"
    if form == "percent":
        return f"{100 * value:.0f} %"
    if form == "ratio":
        return f"{value:.2f}×"
    if form == "whole":
        return f"{value:,.0f}"
    raise BadInput(
        f"result: unknown format {form!r}.",
        hint="Use percent, ratio, whole or interval.",
    )


def lines(project: Path, paths: str) -> str:
    """The lines of Python in files and folders of a package and in their tests, in two digits.

    What has been deleted counts nothing.
    """
    count = 0
    for path in paths.split():
        parent, _, name = path.rpartition("/")
        places = [*project.glob(f"src/*/{path}"), *project.glob(f"tests/{path}")]
        places += project.glob(f"tests/{parent or '.'}/test_{name}")
        files = {file for place in places for file in [place, *place.rglob("*.py")]}
        count += sum(file.read_bytes().count(b"\n") for file in files if file.is_file())
    return f"{round(count, 2 - len(str(count))):,}"


def env_example(root: Path) -> str:
    """A `.env` file with every setting, commented out, in one section for each package."""
    specs = ["seedbed.settings:Settings"]
    folders = sorted(root.glob("projects/*")) or [root]
    for config in sorted(file for folder in folders for file in folder.glob("src/*/config.py")):
        specs.append(f"{config.parent.name}.config:Config")
    lines = [
        "# Copy this file to `.env` and uncomment the settings you want to change.",
        "# Generated by `make docs` from the settings classes.",
    ]
    for spec in specs:
        lines += ["", f"# ── {spec.partition('.')[0]}"]
        for name, default, meaning in variables(_class(spec)):
            lines += [f"# {meaning}", f"#{name}={default}"]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Update the pages; returns 1 if any was out of date."""
    words = sys.argv[1:] if arguments is None else arguments
    root = Path(words[0]) if words else Path.cwd()
    try:
        stale = update(root)
    except SeedbedError as error:
        print(error, file=sys.stderr)
        return 2
    for page in stale:
        print(f"updated: {page.relative_to(root)}")
    print("Review and commit the updated files." if stale else "The docs are up to date.")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
