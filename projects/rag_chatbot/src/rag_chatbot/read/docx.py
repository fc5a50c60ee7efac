"""DOCX, read straight from its XML: headings by style, paragraphs, lists, tables.

A DOCX is a ZIP of XML files from anybody: sizes are limited before and while unpacking, and a file
that declares entities is refused. Nothing it links to is opened.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from rag_chatbot.read.decode import clean
from rag_chatbot.read.document import Document, Writer
from seedbed.errors import BadInput, TooLarge

MAX_UNPACKED = 100 * 2**20  # bytes of XML
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
OLE = b"\xd0\xcf\x11\xe0"  # how an encrypted DOCX and an old .doc begin


def parse_docx(data: bytes, _: Path) -> Document:
    if data.startswith(OLE):
        raise BadInput("It is encrypted, or an old .doc file: save it as .docx without a password.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            body = _xml(archive, "word/document.xml")
            styles = _xml(archive, "word/styles.xml")
            core = _xml(archive, "docProps/core.xml")
            notes = _xml(archive, "word/footnotes.xml")
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise BadInput(f"It is not a DOCX file, or it is damaged ({error}).") from None
    if body is None:
        raise BadInput("It is not a DOCX file: word/document.xml is missing.")
    writer = Writer()
    levels = _heading_levels(styles)
    title = core.findtext("{http://purl.org/dc/elements/1.1/}title", "") if core is not None else ""
    items: list[str] = []
    for element in _blocks(body):
        if element.tag == f"{W}tbl":
            _add_list(writer, items)
            writer.add("table", _table(element))
            continue
        text = _text(element)
        level = _level(element, levels)
        if level is None and element.find(f"{W}pPr/{W}numPr") is not None and text.strip():
            items.append(f"- {text.strip()}")
            continue
        _add_list(writer, items)
        if level is not None:
            title = title or (text if level <= 1 else "")
            writer.add("heading", text, max(1, level))
        else:
            writer.add("paragraph", text)
    _add_list(writer, items)
    for note in () if notes is None else notes.iter(f"{W}p"):
        writer.add("paragraph", _text(note))
    return writer.document(clean(title).strip())


def _xml(archive: zipfile.ZipFile, name: str) -> ElementTree.Element | None:
    try:
        info = archive.getinfo(name)
    except KeyError:
        return None
    if info.flag_bits & 1:
        raise BadInput("It is encrypted: save it without a password.")
    if info.file_size > MAX_UNPACKED:
        raise _bomb(name)
    with archive.open(info) as file:  # what the header says may be a lie, hence the bounded read
        data = file.read(MAX_UNPACKED + 1)
    if len(data) > MAX_UNPACKED:
        raise _bomb(name)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadInput(f"{name} in it declares entities, which no word processor writes.")
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise BadInput(f"{name} in it is damaged: {error}.") from None


def _bomb(name: str) -> TooLarge:
    return TooLarge(f"{name} in it unpacks to more than {MAX_UNPACKED // 2**20} MB: a zip bomb?")


def _blocks(body: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Paragraphs and tables in order, also those inside content controls and insertions."""
    stack = [body]
    while stack:
        element = stack.pop()
        if element.tag in (f"{W}p", f"{W}tbl"):
            yield element
        elif element.tag != f"{W}del":
            stack.extend(reversed(element))


def _text(element: ElementTree.Element) -> str:
    """Text as accepted: insertions in, deletions (w:delText) out, tabs and breaks kept."""
    parts: list[str] = []
    for node in element.iter():
        if node.tag == f"{W}t":
            parts.append(node.text or "")
        elif node.tag == f"{W}tab":
            parts.append("\t")
        elif node.tag in (f"{W}br", f"{W}cr"):
            parts.append("\n")
        elif node.tag == f"{W}noBreakHyphen":
            parts.append("-")
    return clean("".join(parts)).strip()


def _table(table: ElementTree.Element) -> str:
    rows = []
    for row in table.iter(f"{W}tr"):
        cells = [" ".join(_text(cell).split()) for cell in row.iter(f"{W}tc")]
        if any(cells):
            rows.append(" | ".join(cells))
    return "\n".join(rows)


def _add_list(writer: Writer, items: list[str]) -> None:
    writer.add("list", "\n".join(items))
    items.clear()


def _heading_levels(styles: ElementTree.Element | None) -> dict[str, int]:
    """Style id → level (0: the document's title), whatever language the styles are named in."""
    levels: dict[str, int] = {"Title": 0} | {f"Heading{n}": n for n in range(1, 7)}
    for style in () if styles is None else styles.iter(f"{W}style"):
        identifier = style.get(f"{W}styleId", "")
        name = style.find(f"{W}name")
        label = (name.get(f"{W}val", "") if name is not None else "").lower()
        if match := re.fullmatch(r"heading (\d)", label):
            levels[identifier] = int(match[1])
        elif label == "title":
            levels[identifier] = 0
    return levels


def _level(paragraph: ElementTree.Element, levels: dict[str, int]) -> int | None:
    outline = paragraph.find(f"{W}pPr/{W}outlineLvl")
    if outline is not None and outline.get(f"{W}val", "9").isdigit():
        level = int(outline.get(f"{W}val", "9"))
        if level < 9:
            return level + 1
    style = paragraph.find(f"{W}pPr/{W}pStyle")
    return levels.get(style.get(f"{W}val", "")) if style is not None else None
