"""Parse Word documents, spreadsheets, presentations and e-mails.

    parse_spreadsheet(Path("sales.xlsx").read_bytes())

They are read by mammoth, python-calamine, python-pptx and Python's own `email`. Macros are not run,
formulas are shown as the values that were saved, links are not followed. MarkItDown reads all of
these too, but installs 225 MB and takes ten times as long to import.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from rag_chatbot.read.decode import clean, one_line
from rag_chatbot.read.document import Document, DocumentBuilder, markdown_table
from rag_chatbot.read.html import parse_html
from seedbed.errors import BadInput

_FIRST_ROW = re.compile(r"<table><tr>.*?</tr>", re.DOTALL)
_CELL_TAG = re.compile(r"(</?)td")


def parse_docx(data: bytes) -> Document:
    """Headings by style, lists, tables and footnotes; tracked changes count as accepted."""
    import mammoth

    page = mammoth.convert_to_html(
        io.BytesIO(data),
        style_map="p.Title => h1:fresh\np[style-name='Title'] => h1:fresh",
        convert_image=mammoth.images.img_element(lambda _: {}),
    )
    # Few documents mark the header of a table, so the first row is taken as the header.
    html = _FIRST_ROW.sub(lambda match: _CELL_TAG.sub(r"\1th", match[0]), page.value)
    return parse_html(html.encode())


def parse_spreadsheet(data: bytes) -> Document:
    """Each sheet as CSV below its name, without empty rows."""
    from python_calamine import CalamineWorkbook, SheetTypeEnum

    builder = DocumentBuilder()
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
    # A workbook may also have sheets that are charts.
    sheets = [s for s in workbook.sheets_metadata if s.typ == SheetTypeEnum.WorkSheet]
    for name in (sheet.name for sheet in sheets):
        values = workbook.get_sheet_by_name(name).to_python(skip_empty_area=True)
        rows = [[_cell(value) for value in row] for row in values]
        rows = [row for row in rows if any(row)]
        if rows and len(sheets) > 1:
            builder.add("heading", one_line(name), 1)
        table = io.StringIO(newline="")
        csv.writer(table, lineterminator="\n").writerows(rows)
        builder.add("table", table.getvalue())
    return builder.document("")


def _cell(value: object) -> str:
    """A cell as it is usually shown: 3 for 3.0, and a date without midnight."""
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    if isinstance(value, date | time | timedelta):
        return str(value)
    return one_line(str(value))


def parse_pptx(data: bytes) -> Document:
    """A section and page for each slide, with its title, texts, tables and notes."""
    from pptx import Presentation

    builder = DocumentBuilder()
    presentation = Presentation(io.BytesIO(data))
    for number, slide in enumerate(presentation.slides, 1):
        heading = slide.shapes.title
        title = one_line(heading.text_frame.text) if heading is not None else ""
        builder.add("heading", title or f"Slide {number}", 1, number)
        for shape in _shapes(slide.shapes):
            if shape.has_text_frame and shape.shape_id != getattr(heading, "shape_id", None):
                _add_paragraphs(builder, shape.text_frame, number)
            elif getattr(shape, "has_table", False):
                rows = [[one_line(cell.text) for cell in row.cells] for row in shape.table.rows]
                builder.add("table", markdown_table(rows), 0, number)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            builder.add("paragraph", clean(slide.notes_slide.notes_text_frame.text), 0, number)
    return builder.document(one_line(presentation.core_properties.title or ""))


def _shapes(shapes: Any) -> Iterator[Any]:
    """All shapes of a slide, those in groups included."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def _add_paragraphs(builder: DocumentBuilder, frame: Any, slide: int) -> None:
    lines = [text for p in frame.paragraphs if (text := one_line(p.text))]
    if len(lines) > 1:
        builder.add("list", "\n".join(f"- {line}" for line in lines), 0, slide)
    else:
        builder.add("paragraph", "".join(lines), 0, slide)


def parse_email(data: bytes) -> Document:
    """Subject, sender, recipients, date and text; attachments are listed by name only."""
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(data)
    if not message.keys():
        raise BadInput("Not an e-mail: it has no header.")
    builder = DocumentBuilder()
    subject = one_line(str(message.get("subject", "")))
    builder.add("heading", subject or "E-mail", 1)
    fields = [(name, message.get(name)) for name in ("From", "To", "Cc", "Date")]
    lines = [f"{name}: {one_line(str(value))}" for name, value in fields if value]
    names = [clean(part.get_filename() or "unnamed") for part in message.iter_attachments()]
    lines += [f"Attachments: {', '.join(names)}"] if names else []
    builder.add("list", "\n".join(f"- {line}" for line in lines))
    body = message.get_body(("plain", "html"))
    if body is not None:
        text = clean(str(body.get_content()))
        if body.get_content_subtype() == "html":
            page = parse_html(text.encode())
            for block in page.blocks:
                builder.add(block.kind, page.text[block.start : block.end], block.level)
        else:
            for paragraph in text.split("\n\n"):
                builder.add("paragraph", paragraph)
    return builder.document(subject)
