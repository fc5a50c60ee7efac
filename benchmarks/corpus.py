"""Text for the benchmarks that every machine has: documentation inside Python and its packages.

python benchmarks/corpus.py FOLDER 20000      that many chunks of about 110 tokens, in files
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

WORDS_PER_CHUNK = 80  # of English prose with names in it: some 110 tokens
CHUNKS_PER_FILE = 25


def passages(count: int) -> Iterator[str]:
    """`count` passages of running text, cut from docstrings and comments; no two are equal."""
    words: list[str] = []
    number = 0
    for path in _sources():
        for text in _prose(path):
            words += text.split()
            while len(words) >= WORDS_PER_CHUNK:
                part, words = words[:WORDS_PER_CHUNK], words[WORDS_PER_CHUNK:]
                yield f"{path.stem} {number}: {' '.join(part)}."
                number += 1
                if number == count:
                    return
    raise SystemExit(f"The installed packages have text for {number} passages only, not {count}.")


def _sources() -> Iterator[Path]:
    for library in ("stdlib", "purelib"):
        root = Path(sysconfig.get_path(library))
        paths = (path for path in sorted(root.rglob("*.py")))
        yield from (path for path in paths if "site-packages" not in path.relative_to(root).parts)


def _prose(path: Path) -> Iterator[str]:
    try:
        source = path.read_text("utf-8")
        tree = ast.parse(source)
    except (SyntaxError, UnicodeDecodeError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
    yield from (line.strip("# ") for line in source.splitlines() if line.lstrip().startswith("# "))


def write(folder: Path, count: int) -> None:
    """Markdown files of CHUNKS_PER_FILE sections each."""
    folder.mkdir(parents=True, exist_ok=True)
    sections: list[str] = []
    for number, passage in enumerate(passages(count), 1):
        sections.append(f"## Section {number}\n\n{passage}\n")
        if number % CHUNKS_PER_FILE == 0 or number == count:
            (folder / f"{number:06}.md").write_text("\n".join(sections), "utf-8")
            sections = []


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
