"""The documents of documents.toml: as a PDF, and where each field is printed."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vision_app.extract.schemas import Schema, load_schema, parse_schema

SIZE, LEADING, MARGIN = 10, 18, 40  # points; a character of Courier is 0.6 of its size wide
WIDTH = 0.6 * SIZE
MARKER = re.compile(r"\{(\w+)\|([^}]+)\}")
Box = tuple[float, float, float, float]


@dataclass
class Document:
    """A document and what a good model replies."""

    name: str
    page: str
    reply: dict[str, Any] = field(default_factory=dict)
    schema: str | dict[str, Any] = "invoice"

    def __post_init__(self) -> None:
        printed = dict[str, str]()
        for name, text in MARKER.findall(self.page):
            printed.setdefault(name, text)
        self.reply = dict.fromkeys(self.fields) | printed | self.reply

    @property
    def parsed_schema(self) -> Schema:
        """The schema, which a name or a JSON Schema is."""
        own = isinstance(self.schema, dict)
        return parse_schema(self.schema) if own else load_schema(str(self.schema))

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the schema's fields."""
        return tuple(item.name for item in self.parsed_schema.fields)

    @property
    def form(self) -> str:
        """The schema as the field of a form."""
        return self.schema if isinstance(self.schema, str) else json.dumps(self.schema)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of its pages, in points."""
        rows = [MARKER.sub(r"\2", row) for row in self.page.splitlines()]
        width = max(map(len, rows), default=0) * WIDTH
        return 2 * MARGIN + max(width, 300.0), 2 * MARGIN + max(len(rows), 10) * LEADING

    @property
    def pages(self) -> list[list[str]]:
        """The rows of each page."""
        return [page.strip("\n").split("\n") for page in self.page.split("\f")]

    def places(self) -> dict[str, tuple[int, Box]]:
        """Page (from 1) and box of each field that is printed, in points from the top left."""
        places: dict[str, tuple[int, Box]] = {}
        for number, rows in enumerate(self.pages, 1):
            for row, text in enumerate(rows):
                removed = 0
                for match in MARKER.finditer(text):
                    left = MARGIN + WIDTH * (match.start() - removed)
                    top, right = MARGIN + row * LEADING, left + WIDTH * len(match[2])
                    removed += len(match[0]) - len(match[2])
                    box = (left, top, right, top + SIZE)
                    if match[1] in places:
                        _, (x, y, *rest) = places[match[1]]
                        box = (min(x, left), y, max(rest[0], right), top + SIZE)
                    places[match[1]] = (number, box)
        return places

    def pdf(self, make_pdf: Callable[..., bytes]) -> bytes:
        """The document as a digital PDF."""
        width, height = self.size
        contents = [self._draw(rows, height) for rows in self.pages]
        return make_pdf(*contents, box=f"0 0 {width:.0f} {height:.0f}", font="Courier")

    def _draw(self, rows: list[str], height: float) -> bytes:
        pieces = []
        for row, text in enumerate(rows):
            for match in re.finditer(r"\S+(?: \S+)*", MARKER.sub(r"\2", text)):
                x = MARGIN + WIDTH * match.start()
                y = height - MARGIN - row * LEADING - 0.8 * SIZE
                content = re.sub(r"([\\()])", r"\\\1", match[0]).encode("cp1252")
                pieces.append(b"BT /F %d Tf %.1f %.1f Td (%s) Tj ET" % (SIZE, x, y, content))
        return b"\n".join(pieces)


def read_documents() -> list[Document]:
    """All documents of documents.toml."""
    text = Path(__file__).with_name("documents.toml").read_text("utf-8")
    return [Document(name, **table) for name, table in tomllib.loads(text).items()]
