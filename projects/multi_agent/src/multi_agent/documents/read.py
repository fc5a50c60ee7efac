"""Read a folder of Markdown, text and HTML files into passages with their lines.

    passages, skipped = read_folder(Path("docs"))
    passages[0].source, passages[0].start_line, passages[0].heading     # 'returns.md', 3, 'Returns'

A passage is a paragraph, a list item or a table row, verbatim. What it depends on is in its heading:
the path of headings, the sentence that announces a list, the header of a table.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from seedbed.errors import NotFound

SEPARATOR = " › "  # between the parts of a heading
MAX_BYTES = 5_000_000  # of a file
MAX_PASSAGES = 20_000  # of a folder
SUFFIXES = {".md", ".markdown", ".txt", ".text", ".rst", ".html", ".htm"}
_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*$")
_ITEM = re.compile(r"(\s*)(?:[-*+•]|\d{1,3}[.)])\s+(?=\S)")
_RULE = re.compile(r"\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?")
_BLOCKS = "h1 h2 h3 h4 h5 h6 p li tr dt dd pre blockquote caption td th div".split()


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


Line = tuple[int, str]  # its number and its text


def read_folder(folder: Path) -> tuple[list[Passage], list[str]]:
    """All passages, and the files that were skipped, each with the reason.

    Raises NotFound if the folder does not exist.
    """
    if not folder.is_dir():
        raise NotFound(f"No folder {str(folder)!r}.", hint="Pass a folder of documents.")
    passages: list[Passage] = []
    skipped = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(root, name) for name in sorted(names) if not name.startswith(".")):
            source = path.relative_to(folder).as_posix()
            problem = _problem(path, source, folder)
            if not problem and len(passages) >= MAX_PASSAGES:
                problem = f"the folder has more than {MAX_PASSAGES} passages"
            if problem:
                skipped.append(f"{source!r}: {problem}")
                continue
            passages += read_text(_decode(path.read_bytes()), source)
    return passages, skipped


def _problem(path: Path, source: str, folder: Path) -> str:
    """Why a file is not read, or an empty text."""
    try:
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
    except OSError as error:
        return str(error.strerror or error)


_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def _decode(data: bytes) -> str:
    if data[:2] in _UTF16:
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def read_text(text: str, source: str) -> list[Passage]:
    """The passages of one document; its format is taken from the source's suffix."""
    name = re.sub(r"[_\W]+", " ", Path(source).stem).strip()
    if source.lower().endswith((".html", ".htm")):
        lines = list(_html_lines(text))
    else:
        lines = list(enumerate(text.replace("\r\n", "\n").split("\n"), 1))
    return list(_Reader(source, name).read(lines))


@dataclass
class _Reader:
    """Reads the lines of a document from top to bottom."""

    source: str
    name: str
    path: list[tuple[int, str]] = field(default_factory=list)  # levels and headings
    lead: str = ""  # the sentence that announces a list
    items: list[tuple[int, str]] = field(default_factory=list)  # indents and items above this one
    header: str = ""  # of the table

    def read(self, lines: list[Line]) -> Iterator[Passage]:
        block: list[Line] = []
        for number, line in [*lines, (0, "")]:
            text = line.strip()
            starts = not text or text[0] == "#" or _ITEM.match(line) or _is_rule(text)
            if block and (starts or _is_alone(text) or _is_alone(block[-1][1].strip())):
                if text and _is_rule(text):  # an underlined heading, or a table's header above it
                    underlined = len(block) == 1 and "|" not in block[0][1]
                    if underlined:
                        self._open(1 if text[0] == "=" else 2, block[0][1])
                    else:
                        self.header = block[0][1].strip()
                    block = []
                    continue
                yield from self._passage(block, ends=not text or text.isupper())
                block = []
            if not text:
                self.header = ""
            elif not _is_rule(text) and not text.startswith(("```", "<!--")):
                block.append((number, line))

    def _passage(self, block: list[Line], ends: bool) -> Iterator[Passage]:
        first = block[0][1]
        text = "\n".join(line for _, line in block).strip()
        heading = _HEADING.match(text)
        if heading:
            self._open(len(heading[1]), heading[2])
            return
        context = [self.name, *(title for _, title in self.path)]
        item = _ITEM.match(first)
        if _is_row(text):
            if not self.header:
                self.header = text
                return
            context += [self.header]
        elif item:
            self.header = ""
            indent = len(item[1].expandtabs())
            self.items = [one for one in self.items if one[0] < indent]
            context += [self.lead, *(one for _, one in self.items)]
            self.items.append((indent, text[len(item[0].lstrip()) :]))
        else:
            self.header, self.items = "", []
            self.lead = text if text.endswith(":") else ""
        if len(block) == 1 and (ends or text.isupper()) and _is_title(text):
            self._open(6, text[len(item[0]) :] if item else text)
            if text.endswith("?"):
                return
        heading_path = SEPARATOR.join(dict.fromkeys(part for part in context if part))
        yield Passage(self.source, block[0][0], block[-1][0], heading_path, text)

    def _open(self, level: int, title: str) -> None:
        self.path = [one for one in self.path if one[0] < level] + [(level, title.strip("*_ #"))]
        self.lead, self.items, self.header = "", [], ""


def _is_rule(text: str) -> bool:
    return bool(_RULE.fullmatch(text) or re.fullmatch(r"={3,}|[*_-]{3,}", text))


def _is_row(text: str) -> bool:
    return text.startswith("|") or " | " in text


def _is_alone(text: str) -> bool:
    """Whether a line never continues in the next one: a row, or a title in capitals."""
    return _is_row(text) or (text.isupper() and _is_title(text))


def _is_title(text: str) -> bool:
    """Whether a line that is alone announces what follows: a title, or a question."""
    short = len(text.split()) <= 8 and not re.search(r"[.!:,;]\W*$|: |\d{2}|@|/", text)
    return short or (text.endswith(("?", "?**")) and len(text.split()) <= 25)


def _html_lines(text: str) -> Iterator[Line]:
    """The visible text of a page as the lines of a Markdown document."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(text)
    tree.strip_tags(["script", "style", "template", "noscript", "nav"])
    offset = 0
    for node in tree.css(",".join(_BLOCKS)):
        tag = str(node.tag)
        if tag in ("td", "th") or (tag == "div" and node.css_first(",".join(_BLOCKS))):
            continue
        if (
            tag in ("p", "div")
            and node.parent is not None
            and node.parent.tag in ("li", "td", "dd")
        ):
            continue
        cells = [" ".join(cell.text().split()) for cell in node.css("td,th")]
        own = " ".join(node.text().split()) if tag != "tr" else f"| {' | '.join(cells)} |"
        words = re.search(r"[^<&|\s]{2,}[^<&\n|]*", own)
        offset = max(offset, text.find(words[0].strip()[:25], offset) if words else 0)
        number = text.count("\n", 0, offset) + 1
        mark = f"{'#' * int(tag[1])} " if re.fullmatch("h[1-6]", tag) else ""
        mark = mark or {"li": "- ", "dt": "###### "}.get(tag, "")
        if tag == "tr" and node.prev is None and node.css_first("td"):
            yield from (
                ((number, ""), (number, "| |"), (number, "|---|")) if node.css_first("th") else ()
            )
        if own.strip("| "):
            yield number, mark + own
            if tag == "tr" and node.css_first("th") and not node.css_first("td"):
                yield number, "|---|"
            elif tag != "tr" and not mark.startswith("-"):
                yield number, ""
