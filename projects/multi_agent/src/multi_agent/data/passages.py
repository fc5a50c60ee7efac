"""Reads a folder of Markdown and text files into passages with their lines.

    passages = read_folder(Path("docs"))
    passages[0].place, passages[0].heading        # 'returns.md:3-4', 'returns › Returning goods'

A passage is a paragraph, a list item or a table row, verbatim. Its heading is its context: the
headings above it, the sentence that introduces a list, the header of a table.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seedbed.errors import NotFound

SEPARATOR = " › "  # between the parts of a heading
MAX_BYTES = 5_000_000  # of a file
MAX_CHARACTERS = 2_000  # of a passage
MAX_NAMED = 10  # skipped files that the warning names
SUFFIXES = {".md", ".markdown", ".txt", ".text", ".rst"}
log = logging.getLogger(__name__)
_TEXT, _ITEM, _HEADER, _ROW = 7, 8, 98, 99  # levels of blocks; 1 to 6 are headings
_LEAVES = ("paragraph_open", "fence", "html_block")
_Block = tuple[int, int, int, str]  # level, first and last line, text


@dataclass(frozen=True)
class Passage:
    """A verbatim part of a document, at lines `start_line` to `end_line` (from 1)."""

    source: str
    """Path of the file within its folder."""
    start_line: int
    end_line: int
    heading: str
    text: str

    @property
    def place(self) -> str:
        lines = f"{self.start_line}-{self.end_line}" if self.end_line > self.start_line else ""
        return f"{self.source}:{lines or self.start_line}"


def read_folder(folder: Path) -> list[Passage]:
    """All passages; a warning names the first files that are not read, with the reasons.

    Raises NotFound if the folder does not exist.
    """
    if not folder.is_dir():
        raise NotFound(f"No folder {str(folder)!r}.", hint="Pass a folder of documents.")
    passages, skipped = list[Passage](), list[str]()
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    for source in sorted(name for name in names if "/." not in f"/{name}"):  # nothing hidden
        if problem := _problem(path := folder / source, folder):
            skipped.append(f"{source!r}: {problem}")
        else:
            passages += read_text(path.read_text("utf-8-sig", errors="replace"), source)
    if skipped:
        log.warning("%d documents are left out: %s.", len(skipped), "; ".join(skipped[:MAX_NAMED]))
    return passages


def _problem(path: Path, folder: Path) -> str:
    """Why a file is not read, or an empty text."""
    if not path.name.isprintable() or path.suffix.lower() not in SUFFIXES:
        return "not Markdown or text"
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        return "not a file in this folder"
    if not os.access(path, os.R_OK) or path.stat().st_size > MAX_BYTES:
        return f"not readable, or larger than {MAX_BYTES // 1_000_000} MB"
    return "a binary file" if b"\0" in path.read_bytes()[:8192] else ""


def read_text(text: str, source: str) -> list[Passage]:
    """The passages of one document."""
    above = [(0, re.sub(r"[_\W]+", " ", Path(source).stem).strip())]
    passages = []
    for level, first, last, block_text in _blocks(text):
        # A block belongs to those of lower levels above it: a row to its header and its headings.
        above = [block for block in above if block[0] < level]
        if level >= _TEXT and level != _HEADER:
            heading = SEPARATOR.join(dict.fromkeys(title for _, title in above))
            passages += [Passage(source, first, last, heading, part) for part in _parts(block_text)]
        if level not in (_TEXT, _ROW) or block_text.endswith(":"):
            above.append((level, block_text[:MAX_CHARACTERS]))
    return passages


def _parts(text: str) -> Iterator[str]:
    """A text, or the parts of a long one, which end at a line, a sentence or a word if possible."""
    while len(text) > MAX_CHARACTERS:
        ends = (text.rfind(mark, 0, MAX_CHARACTERS) for mark in ("\n", ". ", " "))
        end = next((end + 1 for end in ends if end > MAX_CHARACTERS // 2), MAX_CHARACTERS)
        yield text[:end].strip()
        text = text[end:].strip()
    if text:
        yield text


def _blocks(text: str) -> Iterator[_Block]:
    from markdown_it import MarkdownIt

    lines = text.splitlines()
    # Plain text is indented without being code; links and emphasis stay as they are.
    parser = MarkdownIt("commonmark").enable("table").disable(["code", "inline"])
    tokens = parser.parse("\n".join(lines))
    for number, token in enumerate(tokens):
        before, (first, last) = tokens[number - 1].type, token.map or (0, 0)
        if token.type == "heading_open":
            yield int(token.tag[1:]), first + 1, last, tokens[number + 1].content.strip("*_ ")
        elif token.type == "tr_open":
            level = _HEADER if before == "thead_open" else _ROW
            yield level, first + 1, last, lines[first].strip()
        elif token.type in _LEAVES and not token.content.startswith("<!--"):
            deeper = before != "list_item_open"  # below the item's first paragraph
            level = _ITEM + token.level + deeper if token.level else _TEXT
            yield level, first + 1, last, "\n".join(lines[first:last]).strip()
