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
from xml.parsers.expat import ExpatError
from zipfile import BadZipFile

from rag_chatbot.read.decode import clean
from rag_chatbot.read.document import Block, Document, DocumentBuilder, markdown_table
from rag_chatbot.read.html import parse_html
from seedbed.errors import BadInput
from seedbed.safety.limited_process import LimitedProcess

ENCRYPTED = "The file is encrypted. Save it without a password."
OLE = b"\xd0\xcf\x11\xe0"  # first bytes of encrypted files, and of those from before 2007
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
    readers = {
        "docx": _word,
        "spreadsheet": _spreadsheet,
        "pptx": _presentation,
        "email": _email,
    }
    document = readers[kind](data)
    return (document.title, [astuple(block) for block in document.blocks]), document.text.encode()


def _word(data: bytes) -> Document:
    import mammoth

    if data.startswith(OLE):
        raise BadInput("The file is encrypted or an old .doc. Save it as .docx without a password.")
    try:
        page = mammoth.convert_to_html(
            io.BytesIO(data),
            style_map="p.Title => h1:fresh\np[style-name='Title'] => h1:fresh",
            convert_image=mammoth.images.img_element(lambda _: {}),
        )
    except (BadZipFile, EOFError, OSError, ValueError, KeyError, ExpatError) as error:
        raise BadInput(f"Not a DOCX file, or a damaged one ({clean(str(error))}).") from None
    # Few documents mark the header of a table: the first row is taken for it.
    html = _FIRST_ROW.sub(lambda match: _CELL_TAG.sub(r"\1th", match[0]), page.value)
    return parse_html(html.encode(), Path())


def _spreadsheet(data: bytes) -> Document:
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    text, blocks = "", list[Block]()
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        for name in workbook.sheet_names:
            rows = [[_cell(value) for value in row] for row in _rows(workbook, name)]
            rows = [row for row in rows if any(row)]
            if not rows:
                continue
            text += "\n" if text else ""
            if len(workbook.sheet_names) > 1:
                heading = " ".join(clean(name).split())
                blocks.append(Block("heading", len(text), len(text) + len(heading), 1))
                text += f"{heading}\n"
            table = io.StringIO(newline="")
            csv.writer(table, lineterminator="\n").writerows(rows)
            blocks.append(Block("table", len(text), len(text) + len(table.getvalue()) - 1))
            text += table.getvalue()
    except PasswordError:
        raise BadInput(ENCRYPTED) from None
    except (CalamineError, OSError, ValueError) as error:
        raise BadInput(f"Not a spreadsheet, or a damaged one ({clean(str(error))}).") from None
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
    return " ".join(clean(str(value)).split())


def _presentation(data: bytes) -> Document:
    from pptx import Presentation
    from pptx.exc import PythonPptxError

    builder = DocumentBuilder()
    try:
        presentation = Presentation(io.BytesIO(data))
        for number, slide in enumerate(presentation.slides, 1):
            heading = slide.shapes.title
            title = clean(heading.text_frame.text) if heading is not None else ""
            builder.add("heading", " ".join(title.split()) or f"Slide {number}", 1, number)
            for shape in _shapes(slide.shapes):
                if shape.has_text_frame and shape.shape_id != getattr(heading, "shape_id", None):
                    _add_paragraphs(builder, shape.text_frame, number)
                elif getattr(shape, "has_table", False):
                    rows = [
                        [" ".join(clean(cell.text).split()) for cell in row.cells]
                        for row in shape.table.rows
                    ]
                    builder.add("table", markdown_table(rows), 0, number)
            if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
                builder.add("paragraph", clean(slide.notes_slide.notes_text_frame.text), 0, number)
    except (PythonPptxError, BadZipFile, KeyError, ValueError, OSError) as error:
        if data.startswith(OLE):
            message = "The file is encrypted or an old .ppt. Save it as .pptx without a password."
            raise BadInput(message) from None
        raise BadInput(f"Not a presentation, or a damaged one ({clean(str(error))}).") from None
    return builder.document(clean(presentation.core_properties.title or "").strip())


def _shapes(shapes: Any) -> Iterator[Any]:
    """All shapes of a slide, those in groups included."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def _add_paragraphs(builder: DocumentBuilder, frame: Any, slide: int) -> None:
    lines = [text for p in frame.paragraphs if (text := " ".join(clean(p.text).split()))]
    if len(lines) > 1:
        builder.add("list", "\n".join(f"- {line}" for line in lines), 0, slide)
    else:
        builder.add("paragraph", "".join(lines), 0, slide)


def _email(data: bytes) -> Document:
    message = BytesParser(EmailMessage, policy=policy.default).parsebytes(data)
    if not message.keys():
        raise BadInput("Not an e-mail: it has no header.")
    builder = DocumentBuilder()
    subject = " ".join(clean(str(message.get("subject", ""))).split())
    builder.add("heading", subject or "E-mail", 1)
    fields = [(name, message.get(name)) for name in ("From", "To", "Cc", "Date")]
    lines = [f"{name}: {' '.join(clean(str(value)).split())}" for name, value in fields if value]
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
