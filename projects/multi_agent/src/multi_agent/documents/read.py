"""Reads a folder of Markdown, text and HTML files into passages with their lines.

    passages = read_folder(Path("docs"))
    passages[0].place, passages[0].heading        # 'returns.md:3-4', 'returns › Returning goods'

A passage is a paragraph, a list item or a table row, verbatim. Its heading is what it depends on:
the headings above it, the sentence that announces a list, the header of a table.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from seedbed.errors import NotFound

SEPARATOR = " › "  # between the parts of a heading
MAX_BYTES = 5_000_000  # of a file
MAX_NAMED = 10  # files that are left out
SUFFIXES = {".md", ".markdown", ".txt", ".text", ".rst", ".html", ".htm"}
log = logging.getLogger(__name__)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_CELLS = re.compile(r"\s*\|\s*|(?<=\S)(?:\s*\.{4,}\s*|\t+| {3,}|(?<![.!?]) {2})(?=\S)")
_TEXT, _ITEM, _HEADER, _ROW = 7, 8, 98, 99  # levels of blocks; 1 to 6 are headings
_HTML = {f"h{n}": n for n in range(1, 7)} | {"dt": 6, "li": _ITEM, "tr": _ROW}
_HTML |= dict.fromkeys(("p", "dd", "pre", "blockquote", "caption", "div", "body"), _TEXT)
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
    score: float = 0.0
    """How well it fits the question of a search, 0 to 1."""

    @property
    def place(self) -> str:
        """The document with the lines, "returns.md:12-14"."""
        lines = f"{self.start_line}-{self.end_line}" if self.end_line > self.start_line else ""
        return f"{self.source}:{lines or self.start_line}"


def read_folder(folder: Path) -> list[Passage]:
    """All passages; a warning names the first files that cannot be read, with the reasons.

    Raises NotFound if the folder does not exist.
    """
    if not folder.is_dir():
        raise NotFound(f"No folder {str(folder)!r}.", hint="Pass a folder of documents.")
    passages, skipped = list[Passage](), list[str]()
    for path in sorted(path for path in folder.rglob("[!.]*") if not path.is_dir()):
        source = path.relative_to(folder).as_posix()
        try:
            problem = _problem(path, source, folder)
            passages += read_text(_decode(path.read_bytes()), source) if not problem else ()
        except OSError as error:
            problem = str(error.strerror or error)
        skipped += [f"{source!r}: {problem}"] if problem else []
    if skipped:
        log.warning("%d documents are left out: %s.", len(skipped), "; ".join(skipped[:MAX_NAMED]))
    return passages


def _problem(path: Path, source: str, folder: Path) -> str:
    """Why a file is not read, or an empty text."""
    if not source.isprintable() or len(source) > 200:
        return "the name has control characters or more than 200 characters"
    if path.suffix.lower() not in SUFFIXES:
        return "not Markdown, text or HTML"
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        return "not a file in this folder"
    if path.stat().st_size > MAX_BYTES:
        return f"larger than {MAX_BYTES // 1_000_000} MB"
    with path.open("rb") as file:
        start = file.read(8192)
    return "a binary file" if b"\0" in start and start[:2] not in _UTF16 else ""


def _decode(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in _UTF16 else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def read_text(text: str, source: str) -> list[Passage]:
    """The passages of one document; its format is that of the source's suffix."""
    is_page = source.lower().endswith((".html", ".htm"))
    blocks = list((_html_blocks if is_page else _markdown_blocks)(text))
    above = [(0, re.sub(r"[_\W]+", " ", Path(source).stem).strip())]
    passages = []
    for number, (level, first, last, text) in enumerate(blocks, 1):
        if level == _TEXT and number < len(blocks) and _is_title(text):
            level, text = 6, text.strip("*_ ")
        # A block belongs to those of lower levels above it: a row to its header and its headings.
        above = [block for block in above if block[0] < level]
        if level >= _TEXT and level != _HEADER:
            heading = SEPARATOR.join(dict.fromkeys(title for _, title in above))
            passages.append(Passage(source, first, last, heading, text))
        if level not in (_TEXT, _ROW) or text.endswith(":"):
            above.append((level, text))
    return passages


def _is_title(text: str) -> bool:
    """Whether a paragraph is a title without markup, or a question that the next one answers."""
    if re.fullmatch(r"[^.!\n]+\?\W*", text):
        return True
    return len(text.split()) <= 8 and not re.search(r"[.!?:,;]\W*$|: |\d{2}|@|/|\n", text)


def cells(row: str) -> list[tuple[str, int]]:
    """The cells of a table row, each with its offset; one cell if the text is not a row.

    >>> cells("| Kettle | 2 years |"), cells("Monday .... closed")
    ([('Kettle', 2), ('2 years', 11)], [('Monday', 0), ('closed', 12)])
    """
    ends = [match.span() for match in _CELLS.finditer(row)]
    stops = [*(start for start, _ in ends), len(row)]
    inner = [(row[a:b].strip(), a) for a, b in zip([0, *(e for _, e in ends)], stops, strict=True)]
    return inner[row.startswith("|") : len(inner) - row.rstrip().endswith("|")] or inner


def _markdown_blocks(text: str) -> Iterator[_Block]:
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
            yield from _paragraph(level, first + 1, lines[first:last])


def _paragraph(level: int, first: int, lines: list[str]) -> Iterator[_Block]:
    """A paragraph, or the rows of a table whose columns are separated by spaces or dots."""
    widths = [len(cells(line.strip())) for line in lines]
    if sum(width > 1 for width in widths) <= len(lines) / 2:
        yield level, first, first + len(lines) - 1, "\n".join(lines).strip()
        return
    for number, (line, width) in enumerate(zip(lines, widths, strict=True)):
        is_header = number == 0 and width > 2 and not re.search(r"\d", line)
        level = _HEADER if is_header else _ROW if width > 1 else _TEXT
        yield level, first + number, first + number, line.strip()


def _html_blocks(text: str) -> Iterator[_Block]:
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(text)
    tree.strip_tags(["script", "style", "template", "noscript", "nav"])
    offset, line = 0, 1
    for node in tree.css(",".join(_HTML)):
        columns = node.css("td,th") if node.tag == "tr" else []
        row = [" ".join(column.text().split()) for column in columns]
        is_leaf = len(node.css(",".join(_HTML))) <= 1  # the node itself
        words = (" ".join(row) if row else node.text(deep=is_leaf)).split()
        parent = str(node.parent.tag) if node.parent else ""
        if not words or parent in ("td", "th"):
            continue
        # The parser returns no lines: search for the first words, with tags between them.
        start = r"(?:\s|<[^<>]*>)+".join(re.escape(escape(word, quote=False)) for word in words[:3])
        if match := re.compile(start).search(text, offset):
            line, offset = line + text.count("\n", offset, match.start()), match.start() + 1
        level = _ITEM if parent == "li" else _HTML[str(node.tag)]
        level = _HEADER if row and len(node.css("th")) == len(row) else level
        yield level, line, line, f"| {' | '.join(row)} |" if row else " ".join(words)
