"""Read a folder of Markdown, text and HTML files into passages with their lines.

    passages, skipped = read_folder(Path("docs"))
    passages[0].place, passages[0].heading        # 'returns.md:3-4', 'returns › Returning goods'

A passage is a paragraph, a list item or a table row, verbatim. What it depends on is its heading:
the headings above it, the sentence that announces a list, the header of a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seedbed.errors import NotFound

SEPARATOR = " › "  # between the parts of a heading
MAX_BYTES = 5_000_000  # of a file
SUFFIXES = {".md", ".markdown", ".txt", ".text", ".rst", ".html", ".htm"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_ITEM = re.compile(r"(\s*)(?:[-*+•]|\d{1,3}[.)])\s+(?=\S)")
_RULE = re.compile(r"[=*_-]{3,}|\|?\s*:?-{2,}:?\s*(?:\|\s*:?-{2,}:?\s*)*\|?")
_CELLS = re.compile(r"\s*\|\s*|(?<=\S)(?:\s*\.{4,}\s*|\t+| {3,}|(?<![.!?]) {2})(?=\S)")
_BLOCKS = "h1,h2,h3,h4,h5,h6,p,li,tr,dt,dd,pre,blockquote,caption,div"


@dataclass
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
    kind: str = "text"
    """Also "row" or "item"; while reading, "heading", "header" or "blank" too."""

    @property
    def place(self) -> str:
        """The document with the lines, "returns.md:12-14"."""
        lines = f"{self.start_line}-{self.end_line}" if self.end_line > self.start_line else ""
        return f"{self.source}:{lines or self.start_line}"


def read_folder(folder: Path) -> tuple[list[Passage], list[str]]:
    """All passages, and the files that were skipped, each with the reason.

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
    return passages, skipped


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
    lines = _html_lines(text) if is_page else enumerate(text.splitlines(), 1)
    path = [(0, re.sub(r"[_\W]+", " ", Path(source).stem).strip())]
    lead, header, items = "", "", list[tuple[int, str]]()
    blocks = _blocks(lines, source)
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        context, text = [title for _, title in path], block.text.strip()
        if block.kind in ("blank", "header"):
            header = text
        if block.kind in ("text", "heading"):
            lead, items = "", []
        if block.kind == "heading" or _is_title(block, following):
            level, title = len(text) - len(text.lstrip("#")) or 6, text.strip("*_# ")
            path = [*(one for one in path if one[0] < level), (level, title)]
            context, header, items = [*context, title], "", []
        elif block.kind == "text" and (text[-1] == ":" or (following and following.kind == "row")):
            lead = text
        if block.kind == "row":
            context += [lead, header]
        if block.kind == "item":
            indent = len(block.text.expandtabs()) - len(block.text.expandtabs().lstrip())
            items = [one for one in items if one[0] < indent]
            context += [lead, *(one for _, one in items)]
            items.append((indent, text))
        block.heading, block.text = SEPARATOR.join(dict.fromkeys(filter(None, context))), text
    return [block for block in blocks if block.kind in ("row", "item", "text")]


def cells(row: str) -> list[tuple[str, int]]:
    """The cells of a table row, each with its offset; one cell if the text is not a row.

    >>> cells("| Kettle | 2 years |"), cells("Monday .... closed")
    ([('Kettle', 2), ('2 years', 11)], [('Monday', 0), ('closed', 12)])
    """
    ends = [match.span() for match in _CELLS.finditer(row)]
    stops = [*(start for start, _ in ends), len(row)]
    inner = [(row[a:b].strip(), a) for a, b in zip([0, *(e for _, e in ends)], stops, strict=True)]
    return inner[row.startswith("|") : len(inner) - row.rstrip().endswith("|")] or inner


def _blocks(lines: Iterable[tuple[int, str]], source: str) -> list[Passage]:
    blocks = [Passage(source, 0, 0, "", "", kind="blank")]
    for number, line in lines:
        last, kind = blocks[-1], _kind(line)
        if kind == "text" and last.kind in ("text", "item"):
            last.text, last.end_line = f"{last.text}\n{line}", number
        elif kind == "rule" and last.kind == "text" and "\n" not in last.text:
            last.kind, last.text = "heading", ("# " if "=" in line else "## ") + last.text
        elif kind == "rule" and last.kind == "row":
            last.kind = "header"
        elif kind == "row" and last.kind not in ("row", "header") and _is_header(line):
            blocks.append(Passage(source, number, number, "", line, kind="header"))
        elif kind != "rule":
            text = "" if kind == "blank" else line
            blocks.append(Passage(source, number, number, "", text, kind=kind))
    return blocks


def _is_header(first_row: str) -> bool:
    return len(cells(first_row)) > 2 and not re.search(r"\d", first_row)


def _kind(line: str) -> str:
    text = line.strip()
    if not text or text.startswith(("```", "<!--")):
        return "blank"
    if _RULE.fullmatch(text):
        return "rule"
    if text.startswith("|") or len(cells(text)) > 1:
        return "row"
    if re.match(r"#{1,6}\s+\S", text) or (text.isupper() and 3 < len(text) < 80):
        return "heading"
    return "item" if _ITEM.match(line) else "text"


def _is_title(block: Passage, following: Passage | None) -> bool:
    """Whether a line that is alone announces what follows: a title, or a question."""
    is_numbered = block.kind == "item" and block.text[0].isdigit()
    if not following or following.kind not in ("blank", "row"):
        return False
    if block.kind != "text" and not is_numbered:
        return False
    text, size = block.text.strip("*_ "), len(block.text.split())
    return (size <= 8 and not re.search(r"[.!:,;]$|: |\d{2}|@|/|\n", text)) or text.endswith("?")


def _html_lines(text: str) -> Iterator[tuple[int, str]]:
    """The visible text of a page as the lines of a Markdown document."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(text)
    tree.strip_tags(["script", "style", "template", "noscript", "nav"])
    offset = 0
    for node in tree.css(_BLOCKS):
        tag, row = str(node.tag), [" ".join(cell.text().split()) for cell in node.css("td,th")]
        is_leaf = len(node.css(_BLOCKS)) <= 1  # the node itself
        own = " ".join(row if tag == "tr" else node.text(deep=is_leaf).split())
        if not own or (node.parent is not None and node.parent.tag in ("td", "th")):
            continue
        word = re.search(r"[^<&\s]{2,}(?: [^<&\s]+)?", row[0] if tag == "tr" else own)
        offset = max(offset, text.find(word[0], offset) if word else 0)
        number = text.count("\n", 0, offset) + 1
        if tag == "tr":
            heads = len(node.css("th"))
            yield from [(number, "| |"), (number, "|---|")] if 0 < heads < len(row) else []
            yield number, f"| {' | '.join(row)} |"
            yield from [(number, "|---|")] if heads == len(row) else []
        else:
            mark = {"li": "- ", "dt": "###### "}.get(tag, "")
            yield number, ("#" * int(tag[1]) + " " if tag[0] == "h" else mark) + own
            yield from [(number, "")] if tag != "li" else []
