"""Spreadsheets, presentations and e-mails, good and hostile ones."""

from __future__ import annotations

import datetime
import io
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest
from pptx import Presentation
from pptx.util import Inches
from xlsxwriter import Workbook

from rag_chatbot.read import Document, parse
from seedbed.errors import BadInput

SALES = [["month", "region", "revenue"], ["May", "North", 41200], ["May", "South", 7.5]]


def shape(document: Document) -> list[tuple[str, int | None, str]]:
    return [(b.kind, b.page, document.text[b.start : b.end]) for b in document.blocks]


def workbook(**sheets: list[list[object]]) -> bytes:
    out = io.BytesIO()
    with Workbook(out, {"default_date_format": "yyyy-mm-dd"}) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return out.getvalue()


def test_spreadsheet_is_a_table_of_rows_for_each_sheet() -> None:
    sales = "month,region,revenue\nMay,North,41200\nMay,South,7.5"
    document = parse(Path("sales.xlsx"), workbook(Sales=SALES))
    assert (document.type, document.title) == ("spreadsheet", "sales")
    assert shape(document) == [("table", None, sales)]
    day, moment = datetime.date(2024, 5, 1), datetime.datetime(2024, 5, 1, 14, 30)
    notes = [["when", "note"], [day, 'said "yes", twice'], [None, None], [moment, "two\nlines"]]
    document = parse(Path("a.xlsx"), workbook(Sales=SALES, Empty=[], Notes=notes))
    assert [part for _, _, part in shape(document)] == [
        "Sales",
        sales,
        "Notes",
        'when,note\n2024-05-01,"said ""yes"", twice"\n2024-05-01 14:30:00,two lines',
    ]


W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
NUMBERING = (
    f"<w:numbering {W}><w:abstractNum w:abstractNumId='0'><w:lvl w:ilvl='0'>"
    "<w:numFmt w:val='bullet'/></w:lvl></w:abstractNum>"
    "<w:num w:numId='1'><w:abstractNumId w:val='0'/></w:num></w:numbering>"
)
STYLES = (  # of a word processor in German
    f"<w:styles {W}><w:style w:type='paragraph' w:styleId='berschrift1'>"
    "<w:name w:val='heading 1'/></w:style></w:styles>"
)


def docx(body: str) -> bytes:
    out = io.BytesIO()
    document = f"<w:document {W}><w:body>{body}</w:body></w:document>"
    parts = {"document": document, "numbering": NUMBERING, "styles": STYLES}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(f"word/{name}.xml", text)
    return out.getvalue()


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def test_docx_finds_headings_lists_and_tables() -> None:
    item = "<w:numPr><w:ilvl w:val='0'/><w:numId w:val='1'/></w:numPr>"
    cells = [[f"<w:tc>{paragraph(text)}</w:tc>" for text in row] for row in ("kv", "ab")]
    body = (
        paragraph("Report", "<w:pStyle w:val='Title'/>")
        + paragraph("Scope", "<w:pStyle w:val='berschrift1'/>")
        + paragraph("All of it.")
        + paragraph("one", item)
        + paragraph("two", item)
        + f"<w:tbl>{''.join(f'<w:tr>{first}{second}</w:tr>' for first, second in cells)}</w:tbl>"
    )
    document = parse(Path("a.docx"), docx(body))
    assert (document.type, document.title) == ("docx", "Report")
    assert shape(document) == [
        ("heading", None, "Report"),
        ("heading", None, "Scope"),
        ("paragraph", None, "All of it."),
        ("list", None, "- one\n- two"),
        ("table", None, "| k | v |\n|---|---|\n| a | b |"),
    ]


def test_presentation_has_a_page_for_each_slide() -> None:
    deck = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Opening hours"
    slide.placeholders[1].text = "Six in the morning\nClosed on Sunday"
    slide.notes_slide.notes_text_frame.text = "Ask the harbour master."
    second = deck.slides.add_slide(deck.slide_layouts[6])
    table = second.shapes.add_table(2, 2, *[Inches(1)] * 4).table
    for row, texts in enumerate((("berth", "depth"), ("A", "9 m"))):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(*[Inches(1)] * 4).text_frame.text = "In a group."
    out = io.BytesIO()
    deck.save(out)
    assert shape(parse(Path("port.pptx"), out.getvalue())) == [
        ("heading", 1, "Opening hours"),
        ("list", 1, "- Six in the morning\n- Closed on Sunday"),
        ("paragraph", 1, "Ask the harbour master."),
        ("heading", 2, "Slide 2"),
        ("table", 2, "| berth | depth |\n|---|---|\n| A | 9 m |"),
        ("paragraph", 2, "In a group."),
    ]


@pytest.mark.parametrize("is_html", [False, True])
def test_email_has_its_fields_and_its_text(is_html: bool) -> None:
    message = EmailMessage()
    message["Subject"], message["From"] = "Mooring für Ann", "Bo <bo@x.example>"
    message["Date"] = "Wed, 01 May 2024 10:00:00 +0000"
    if not is_html:
        message.set_content("Hello Ann,\n\nberth A is yours.\n")
    page = "<p>Hello Ann,</p><p>berth A is yours.</p><script>x</script>"
    message.add_alternative(page, subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="plan.pdf")
    document = parse(Path("a.eml"), message.as_bytes())
    assert document.title == "Mooring für Ann"
    assert [part for _, _, part in shape(document)] == [
        "Mooring für Ann",
        "- From: Bo <bo@x.example>\n- Date: Wed, 01 May 2024 10:00:00 +0000"
        "\n- Attachments: plan.pdf",
        "Hello Ann,",
        "berth A is yours.",
    ]


@pytest.mark.parametrize("name", ["a.docx", "a.xlsx", "a.xls", "a.ods", "a.pptx", "a.eml"])
@pytest.mark.parametrize(
    "data",
    [b"PK\x03\x04 no archive", b"\xd0\xcf\x11\xe0" + b"\0" * 600, b"\n\n no header", b"<x/>"],
    ids=["zip", "ole", "text", "xml"],
)
def test_damaged_file_is_refused_with_a_reason(name: str, data: bytes) -> None:
    with pytest.raises(BadInput) as refused:
        parse(Path(name), data)
    assert "Traceback" not in str(refused.value) and len(str(refused.value)) < 250
