"""The documents of documents.toml: as a PDF, as a picture, and where each field is printed."""

from __future__ import annotations

import io
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vision_app.config import Config
from vision_app.extract.schemas import Schema, load_schema, parse_schema
from vision_app.files.images import open_source

SIZE, LEADING, MARGIN = 10, 18, 40  # points; a character of Courier is 0.6 of its size wide
WIDTH = 0.6 * SIZE
MARKER = re.compile(r"\{(\w+)\|([^}]+)\}")
Box = tuple[float, float, float, float]


@dataclass
class Document:
    """A document and what a good model replies; `turned` counterclockwise, as a picture."""

    name: str
    page: str
    reply: dict[str, Any] = field(default_factory=dict)
    schema: str | dict[str, Any] = "invoice"
    turned: int = 0

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

    def pdf(self) -> bytes:
        """The document as a digital PDF."""
        width, height = self.size
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [%s] /Count %d /MediaBox [0 0 %d %d] >>"
            % (
                b" ".join(b"%d 0 R" % (3 + 2 * n) for n in range(len(self.pages))),
                len(self.pages),
                width,
                height,
            ),
        ]
        font = b"/Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding"
        for number, rows in enumerate(self.pages):
            stream = self._draw(rows, height)
            objects += [
                b"<< /Type /Page /Parent 2 0 R /Contents %d 0 R /Resources << /Font << /F << %s >>"
                b" >> >> >>" % (4 + 2 * number, font),
                b"<< /Length %d >> stream\n%s\nendstream" % (len(stream), stream),
            ]
        body = b"".join(b"%d 0 obj %s endobj\n" % item for item in enumerate(objects, 1))
        return b"%PDF-1.7\n" + body + b"trailer << /Root 1 0 R >>"

    def _draw(self, rows: list[str], height: float) -> bytes:
        pieces = []
        for row, text in enumerate(rows):
            for match in re.finditer(r"\S+(?: \S+)*", MARKER.sub(r"\2", text)):
                x = MARGIN + WIDTH * match.start()
                y = height - MARGIN - row * LEADING - 0.8 * SIZE
                content = re.sub(r"([\\()])", r"\\\1", match[0]).encode("cp1252")
                pieces.append(b"BT /F %d Tf %.1f %.1f Td (%s) Tj ET" % (SIZE, x, y, content))
        return b"\n".join(pieces)

    def picture(self) -> bytes:
        """The first page as a JPEG, turned."""
        pixels = open_source(self.pdf(), name="a.pdf", config=Config()).first()
        file = io.BytesIO()
        Image.fromarray(np.rot90(pixels, self.turned // 90)).save(file, "JPEG", quality=85)
        return file.getvalue()

    def turn(self, box: Box) -> Box:
        """A box of a page in the turned picture."""
        for _ in range(self.turned // 90):
            box = (box[1], -box[2], box[3], -box[0])
        width, height = self.size if self.turned % 180 == 0 else self.size[::-1]
        x, y = {0: (0, 0), 90: (0, height), 180: (width, height), 270: (width, 0)}[self.turned]
        return (box[0] + x, box[1] + y, box[2] + x, box[3] + y)


def read_documents() -> list[Document]:
    """All documents of documents.toml."""
    text = Path(__file__).with_name("documents.toml").read_text("utf-8")
    return [Document(name, **table) for name, table in tomllib.loads(text).items()]
