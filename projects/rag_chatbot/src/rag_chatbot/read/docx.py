"""Parse DOCX from its XML: headings by style, paragraphs, lists, tables, footnotes.

    parse_docx(Path("report.docx").read_bytes(), Path("report.docx"))

A DOCX is a ZIP of XML files from an untrusted source. Sizes are limited before and while unpacking,
files that declare entities are refused, and links are never followed.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from rag_chatbot.read.decode import clean
from rag_chatbot.read.document import Document, DocumentBuilder, markdown_table
from seedbed.errors import BadInput, TooLarge

MAX_UNPACKED = 100 * 2**20  # bytes of XML in one file of the archive
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
OLE = b"\xd0\xcf\x11\xe0"  # first bytes of an encrypted DOCX, and of an old .doc


def parse_docx(data: bytes, _: Path) -> Document:
    """Raises BadInput if the file is encrypted or damaged, and TooLarge if it is a ZIP bomb."""
    if data.startswith(OLE):
        raise BadInput("The file is encrypted or an old .doc. Save it as .docx without a password.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            body = _xml(archive, "word/document.xml")
            styles = _xml(archive, "word/styles.xml")
            core = _xml(archive, "docProps/core.xml")
            notes = _xml(archive, "word/footnotes.xml")
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise BadInput(f"Not a DOCX file, or a damaged one ({error}).") from None
    if body is None:
        raise BadInput("Not a DOCX file: word/document.xml is missing.")
    builder = DocumentBuilder()
    levels = _heading_levels(styles)
    title = core.findtext("{http://purl.org/dc/elements/1.1/}title", "") if core is not None else ""
    items: list[str] = []
    for element in _blocks(body):
        if element.tag == f"{W}tbl":
            _add_list(builder, items)
            builder.add("table", _table(element))
            continue
        text = _text(element)
        level = _level(element, levels)
        if level is None and element.find(f"{W}pPr/{W}numPr") is not None and text.strip():
            items.append(f"- {text.strip()}")
            continue
        _add_list(builder, items)
        if level is not None:
            title = title or (text if level <= 1 else "")
            builder.add("heading", text, max(1, level))
        else:
            builder.add("paragraph", text)
    _add_list(builder, items)
    for note in () if notes is None else notes.iter(f"{W}p"):
        builder.add("paragraph", _text(note))
    return builder.document(clean(title).strip())


def _xml(archive: zipfile.ZipFile, name: str) -> ElementTree.Element | None:
    """The root element of an XML file in the archive; None if it does not exist."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        return None
    if info.flag_bits & 1:
        raise BadInput("The file is encrypted. Save it without a password.")
    if info.file_size > MAX_UNPACKED:
        raise _zip_bomb(name)
    with archive.open(info) as file:  # the size in the header may be wrong
        data = file.read(MAX_UNPACKED + 1)
    if len(data) > MAX_UNPACKED:
        raise _zip_bomb(name)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise BadInput(f"{name} in the archive declares entities, which word processors never do.")
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise BadInput(f"{name} in the archive is damaged: {error}.") from None


def _zip_bomb(name: str) -> TooLarge:
    return TooLarge(
        f"{name} in the archive unpacks to more than {MAX_UNPACKED // 2**20} MB: a zip bomb?"
    )


def _blocks(body: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Paragraphs and tables in order, including those in content controls and insertions."""
    stack = [body]
    while stack:
        element = stack.pop()
        if element.tag in (f"{W}p", f"{W}tbl"):
            yield element
        elif element.tag != f"{W}del":
            stack.extend(reversed(element))


def _text(element: ElementTree.Element) -> str:
    """Text with all changes accepted: deleted text (w:delText) is left out."""
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
    """A table of Markdown; its first row is taken for the header."""
    rows = [
        [" ".join(_text(cell).split()) for cell in row.iter(f"{W}tc")]
        for row in table.iter(f"{W}tr")
    ]
    return markdown_table([row for row in rows if any(row)])


def _add_list(builder: DocumentBuilder, items: list[str]) -> None:
    """Add the list items collected so far as one block."""
    builder.add("list", "\n".join(items))
    items.clear()


def _heading_levels(styles: ElementTree.Element | None) -> dict[str, int]:
    """Style id → heading level, 0 for the title of the document.

    Style ids depend on the language of the word processor; their names do not.
    """
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
    """Heading level of a paragraph by its outline level or style; None if it is plain text."""
    outline = paragraph.find(f"{W}pPr/{W}outlineLvl")
    if outline is not None and outline.get(f"{W}val", "9").isdigit():
        level = int(outline.get(f"{W}val", "9"))
        if level < 9:
            return level + 1
    style = paragraph.find(f"{W}pPr/{W}pStyle")
    return levels.get(style.get(f"{W}val", "")) if style is not None else None
