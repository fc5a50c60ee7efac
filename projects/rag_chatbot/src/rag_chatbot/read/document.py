"""What every parser returns: a text and the blocks in it, as spans. Knows no file format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from seedbed.errors import BadInput

MAX_CHARS = 50_000_000  # a small file may unpack to any amount of text

Kind = Literal["heading", "paragraph", "list", "table", "code"]


@dataclass(frozen=True, slots=True)
class Block:
    """`text[start:end]` of its document. A heading's span is its words, without markup.

    `level` is a heading's depth, 1 the highest. `page` counts from 1, where there are pages.
    """

    kind: Kind
    start: int
    end: int
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """Blocks are in order. For text-like files `text` is the decoded file itself."""

    text: str
    blocks: tuple[Block, ...]
    title: str
    type: str = "text"


class Writer:
    """Puts together the text of a format that has none of its own (HTML, PDF, DOCX).

    Blocks are separated by an empty line; `text` must be clean already.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._length = 0

    def add(self, kind: Kind, text: str, level: int = 0, page: int | None = None) -> None:
        text = text.strip("\n") if kind == "code" else text.strip()
        if not text.strip():
            return
        start = self._length
        self._parts += [text, "\n\n"]
        self._length += len(text) + 2
        if self._length > MAX_CHARS:
            raise BadInput(f"It holds more than {MAX_CHARS // 1_000_000} million characters.")
        self._blocks.append(Block(kind, start, start + len(text), level, page))

    def document(self, title: str) -> Document:
        text = "".join(self._parts).rstrip() + "\n" if self._parts else ""
        return Document(text, tuple(self._blocks), title)
