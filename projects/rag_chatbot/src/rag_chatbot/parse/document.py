"""What every parser returns: a text and the blocks in it, as spans. Knows no file format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
