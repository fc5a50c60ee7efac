"""Parse Word documents, spreadsheets, presentations and e-mails.

    parse_office(Path("sales.xlsx").read_bytes(), Path("sales.xlsx"), "spreadsheet")

They are read by mammoth, python-calamine, python-pptx and Python's own `email`, in a process of its
own with limits of time and memory, as these files come from strangers and unpack to much more than
they are. Macros are not run, formulas are shown as the values that were saved, links are not
followed.
MarkItDown reads all of these too, but installs 225 MB and takes ten times as long to import.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import astuple
from datetime import date, datetime, time, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from rag_chatbot.read.decode import clean, one_line
from rag_chatbot.read.document import Block, Document, DocumentBuilder, markdown_table
from rag_chatbot.read.html import parse_html
from seedbed.errors import BadInput, SeedbedError
from seedbed.safety.limited_process import LimitedProcess

OLE = b"\xd0\xcf\x11\xe0"  # first bytes of encrypted files, and of those from before 2007
NAMES = {
    "docx": "a DOCX file",
    "pptx": "a presentation",
    "spreadsheet": "a spreadsheet",
    "email": "an e-mail",
}
_FIRST_ROW = re.compile(r"<table><tr>.*?</tr>", re.DOTALL)
_CELL_TAG = re.compile(r"(</?)td")
_process = LimitedProcess(f"{__name__}:parse_in_child", hint="Save it as text, CSV or HTML.")


def parse_office(data: bytes, path: Path, kind: str) -> Document:
    """A document of the format `kind`: docx, spreadsheet, pptx or email.

    Of Word the headings by style, lists, tables and footnotes; tracked changes count as accepted.
    Of a spreadsheet each sheet as CSV below its name, without empty rows. Of a presentation a
    section and page for each slide, with its title, texts, tables and notes. Of an e-mail the
    subject, sender, recipients, date and text; attachments are named, and not read.
    """
    (title, blocks), text = _process.call(data, name="The file", kind=kind)
    return Document(text.decode(), tuple(Block(*block) for block in blocks), title or path.stem)


def parse_in_child(data: bytes, kind: str) -> tuple[tuple[str, list[Any]], bytes]:
    """The parts of the document: title and blocks, and its text in UTF-8."""
    parsers = {"docx": _word, "spreadsheet": _spreadsheet, "pptx": _presentation, "email": _email}
    try:
        document = parsers[kind](data)
    except SeedbedError:
        raise
    except Exception as error:  # of these libraries, and of the readers of XML and ZIP below them
        if data.startswith(OLE):
            raise BadInput(
                "The file is encrypted, or older than 2007.",
                hint="Save it in the current format, without a password.",
            ) from None
        raise BadInput(f"Not {NAMES[kind]}, or a damaged one ({clean(str(error))}).") from None
    return (document.title, [astuple(block) for block in document.blocks]), document.text.encode()


def _word(data: bytes) -> Document:
    import mammoth

    page = mammoth.convert_to_html(
        io.BytesIO(data),
        style_map="p.Title => h1:fresh\np[style-name='Title'] => h1:fresh",
        convert_image=mammoth.images.img_element(lambda _: {}),
    )
    # Few documents mark the header of a table: the first row is taken for it.
    html = _FIRST_ROW.sub(lambda match: _CELL_TAG.sub(r"\1th", match[0]), page.value)
    return parse_html(html.encode(), Path())


def _spreadsheet(data: bytes) -> Document:
    from python_calamine import CalamineWorkbook

    text, blocks = "", list[Block]()
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
    for name in workbook.sheet_names:
        rows = [[_cell(value) for value in row] for row in _rows(workbook, name)]
        rows = [row for row in rows if any(row)]
        if not rows:
            continue
        text += "\n" if text else ""
        if len(workbook.sheet_names) > 1:
            heading = one_line(name)
            blocks.append(Block("heading", len(text), len(text) + len(heading), 1))
            text += f"{heading}\n"
        table = io.StringIO(newline="")
        csv.writer(table, lineterminator="\n").writerows(rows)
        blocks.append(Block("table", len(text), len(text) + len(table.getvalue()) - 1))
        text += table.getvalue()
    return Document(text, tuple(blocks), "")


def _rows(workbook: Any, name: str) -> Iterator[list[Any]]:
    from python_calamine import WorksheetNotFound

    try:
        sheet = workbook.get_sheet_by_name(name)
    except WorksheetNotFound:  # a chart
        return
    yield from sheet.to_python(skip_empty_area=True)


def _cell(value: object) -> str:
    """A cell as it is usually shown: 3 for 3.0, and a date without midnight."""
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()
    if isinstance(value, date | time | timedelta):
        return str(value)
    return one_line(str(value))


def _presentation(data: bytes) -> Document:
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


def _email(data: bytes) -> Document:
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
        text = clean(_content(body))
        if body.get_content_subtype() == "html":
            page = parse_html(text.encode(), Path("mail.html"))
            for block in page.blocks:
                builder.add(block.kind, page.text[block.start : block.end], block.level)
        else:
            for paragraph in text.split("\n\n"):
                builder.add("paragraph", paragraph)
    return builder.document(subject)


def _content(part: Any) -> str:
    try:
        return str(part.get_content())
    except LookupError:  # an unknown encoding
        return bytes(part.get_payload(decode=True) or b"").decode("latin-1")
