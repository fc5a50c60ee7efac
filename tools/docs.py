"""Updates the generated parts of Markdown files and `.env.example`.

    python -m tools.docs            from the repository's root; `make docs` calls it

It exits 1 if anything was out of date, so that CI fails until the new text is committed. A
generated part is between `<!-- KIND: argument -->` and `<!-- end -->`:

    settings: my_bot.config:Config          a table of a settings class
    result: rag-ingest.chunks_per_second    one figure of benchmarks/results.json, by its path
    result: rag-answers.recall as percent   the same for people: percent, ratio or whole, or
                                            `interval`, a percentage with its interval and n
    text: my_bot.report:summary             the Markdown that a function returns
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.errors import BadInput, NotFound, SeedbedError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

_MARK = re.compile(r"<!-- (settings|result|text): (.+?) -->(.*?)<!-- end -->", re.DOTALL)
_FORMATS: dict[str, Callable[[Any], str]] = {
    "": lambda value: f"{value:.3g}" if isinstance(value, float) else f"{value}",
    "percent": lambda value: f"{100 * value:.0f} %",
    "ratio": lambda value: f"{value:.2f}×",
    "whole": lambda value: f"{value:,.0f}",
    "interval": lambda share: (
        f"{100 * share['value']:.0f} % "
        f"({100 * share['low']:.0f} to {100 * share['high']:.0f}, n = {share['n']})"
    ),
}
_PAGES = ("*.md", "docs/**/*.md", "shared/*.md", "vendor/*/*.md", "projects/*/*.md")


def update(root: Path) -> list[Path]:
    """Rewrite the pages below `root` that are out of date; returns them."""
    pages = sorted({page for pattern in _PAGES for page in root.glob(pattern)})
    if not (root / "projects").exists():  # in a copy, docs/ contains sample documents
        pages = [page for page in pages if root / "docs" not in page.parents]
    texts = {page: render(page.read_text("utf-8"), root) for page in pages}
    texts[root / ".env.example"] = env_example(root)
    stale = [p for p, text in texts.items() if not p.exists() or p.read_text("utf-8") != text]
    for page in stale:
        page.write_text(texts[page], "utf-8")
    return stale


def render(text: str, root: Path) -> str:
    """Regenerate each marked part of `text`."""

    def part(match: re.Match[str]) -> str:
        kind, argument = match[1], match[2]
        if kind == "result":
            content = result(root / "benchmarks" / "results.json", argument)
        elif kind == "settings":
            content = f"\n{settings_table(argument)}\n"
        else:
            content = f"\n{_named(argument)()}\n"
        return f"<!-- {kind}: {argument} -->{content}<!-- end -->"

    return _MARK.sub(part, text)


def _named(spec: str) -> Any:
    """The function or class `module:name`."""
    module, _, name = spec.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise NotFound(f"{spec!r}: {error}.", hint="Run: make setup") from None


def settings_table(spec: str) -> str:
    """A Markdown table of the settings class `module:Class`."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, default, meaning in variables(_named(spec)):
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
    value = str(field.default)
    return value.lower() if isinstance(field.default, bool) else value


def result(file: Path, path: str) -> str:
    """The figure at a dotted path of the benchmark results, for people, e.g. `rate as percent`.

    An `interval` is a share with "value", "low", "high" and "n"; floats without a format have
    three digits.
    """
    name, _, form = path.partition(" as ")
    value: Any = json.loads(file.read_text("utf-8")) if file.exists() else {}
    for key in name.split("."):
        if not isinstance(value, dict) or key not in value:
            raise NotFound(f"result: {path!r} is not in {file}.", hint="Run: make bench")
        value = value[key]
    if form not in _FORMATS:
        raise BadInput(
            f"result: unknown format {form!r}.", hint=f"Available: {', '.join([*_FORMATS][1:])}."
        )
    return _FORMATS[form](value)


def env_example(root: Path) -> str:
    """A `.env` file with every setting, commented out, in one section for each package."""
    specs = ["seedbed.settings:Settings", "seedbed.settings:OidcSettings"]
    folders = sorted(root.glob("projects/*")) or [root]
    for config in sorted(file for folder in folders for file in folder.glob("src/*/config.py")):
        specs.append(f"{config.parent.name}.config:Config")
    lines = [
        "# Copy this file to `.env` and uncomment the settings you want to change.",
        "# Generated by `make docs` from the settings classes.",
    ]
    for spec in specs:
        lines += ["", f"# ── {spec.partition('.')[0]}"]
        for name, default, meaning in variables(_named(spec)):
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
