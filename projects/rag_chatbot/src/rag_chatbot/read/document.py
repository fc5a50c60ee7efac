"""What every parser returns: the text of a document, and the spans of the blocks in it.

    document = Document("Tea\n\nPour.\n", (Block("paragraph", 5, 10),), title="Tea")

Formats with a text of their own (Markdown, CSV, code) keep it. For the others, `DocumentBuilder`
assembles one. How a format is read is up to its parser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seedbed.errors import BadInput

MAX_CHARS = 50_000_000  # per document; a small compressed file may unpack to much more

Kind = Literal["heading", "paragraph", "list", "table", "code"]


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a document: `text[start:end]`. For a heading these are its words, without markup.

    `level` is the level of a heading, 1 for the top one. `page` counts from 1; None without pages.
    """

    kind: Kind
    start: int
    end: int
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file. `blocks` are in order of the text and do not overlap; `type` is the format."""

    text: str
    blocks: tuple[Block, ...]
    title: str
    type: str = "text"


class DocumentBuilder:
    """Assembles the text of a format that has none of its own (HTML, PDF, DOCX).

    builder = DocumentBuilder()
    builder.add("heading", "Tea", level=1)
    builder.document(title="Tea").text    # "Tea\n"
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._length = 0

    def add(self, kind: Kind, text: str, level: int = 0, page: int | None = None) -> None:
        """Append a block after an empty line. `text` must be clean, see `decode.clean`.

        Raises BadInput if the document becomes longer than MAX_CHARS.
        """
        text = text.strip("\n") if kind == "code" else text.strip()
        if not text.strip():
            return
        if kind == "code":
            fence = "~~~" if "```" in text else "```"
            text = f"{fence}\n{text}\n{fence}"
        start = self._length
        self._parts += [text, "\n\n"]
        self._length += len(text) + 2
        if self._length > MAX_CHARS:
            raise BadInput(f"The text is longer than {MAX_CHARS // 1_000_000} million characters.")
        self._blocks.append(Block(kind, start, start + len(text), level, page))

    def document(self, title: str) -> Document:
        """The document made of all blocks added so far."""
        text = "".join(self._parts).rstrip() + "\n" if self._parts else ""
        return Document(text, tuple(self._blocks), title)


def markdown_table(rows: Sequence[Sequence[str]], *, header: bool = True) -> str:
    """Rows of cells between bars, as in Markdown; the first row is the header.

    >>> print(markdown_table([["Name", "Size"], ["int", "4"]]))
    | Name | Size |
    |---|---|
    | int | 4 |
    """
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if header and len(rows) > 1:
        lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)
