"""Every format on good and on bad bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag_chatbot.read import Document, parse
from seedbed.errors import BadInput, SeedbedError


def read(name: str, data: bytes | str) -> Document:
    return parse(Path(name), data.encode() if isinstance(data, str) else data)


def shape(document: Document) -> list[tuple[str, str]]:
    return [(b.kind, document.text[b.start : b.end]) for b in document.blocks]


def headings(document: Document) -> list[tuple[int, str]]:
    return [
        (b.level, document.text[b.start : b.end]) for b in document.blocks if b.kind == "heading"
    ]


def pdf(*pages: list[str], extra: str = "", trailer: str = "") -> bytes:
    """A PDF by hand: each page a list of content-stream operators."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for lines in pages:
        stream = "\n".join(lines)
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R"
            " /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
            " >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(kids)}] >>"
    if extra:
        objects.append(extra)
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    return out + (
        f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n"
        f"<< /Size {size} /Root 1 0 R {trailer}>>"
        f"\nstartxref\n{len(out)}\n%%EOF\n"
    ).encode("latin-1")


def words(text: str, y: int, size: int = 11) -> str:
    return f"BT /F1 {size} Tf 72 {y} Td ({text}) Tj ET"


def test_markdown_that_begins_with_a_rule_keeps_its_text():
    text = "---\n\nThe pump is red.\n\n---\n\nIt is old.\n"
    document = parse(Path("a.md"), text.encode())
    assert text.count("is") == sum(text[b.start : b.end].count("is") for b in document.blocks)
    titled = parse(
        Path("a.md"), b"---\ntitle: Pumps\ntags:\n  - red\n\n# note\n---\n\nIt is old.\n"
    )
    assert titled.title == "Pumps" and len(titled.blocks) == 1


def test_markdown_text_is_the_file_and_blocks_are_spans() -> None:
    text = (
        "---\ntitle: A guide\n---\n# Start ##\nSome *words*.\n\nSetext\n------\n- a\n- b\n\n"
        "| x | y |\n|---|---|\n| 1 | 2 |\n\n```sh\n# not a heading\n\nls\n```\n#nor this\n"
    )
    document = read("guide.md", text)
    assert document.text == text
    assert document.title == "A guide"
    assert shape(document) == [
        ("heading", "Start"),
        ("paragraph", "Some *words*."),
        ("heading", "Setext"),
        ("list", "- a\n- b"),
        ("table", "| x | y |\n|---|---|\n| 1 | 2 |"),
        ("code", "```sh\n# not a heading\n\nls\n```"),
        ("paragraph", "#nor this"),
    ]


def test_headings_of_plain_text_are_underlined_or_begin_with_equals_signs() -> None:
    assert headings(read("a.rst", "Title\n=====\n\nText.\n\nTwo\n---\n\nMore.\n")) == [
        (1, "Title"),
        (2, "Two"),
    ]
    assert headings(read("a.adoc", "= Top\n\n== Part\n\nText.\n")) == [(1, "Top"), (2, "Part")]


def test_code_blocks_begin_flush_left_after_an_empty_line() -> None:
    document = read("box.py", "import os\n\n\nclass Box:\n    x = 1\n\n    y = 2\n\nprint(Box)\n")
    assert document.title == "box.py"
    assert [part for _, part in shape(document)] == [
        "import os",
        "class Box:\n    x = 1\n\n    y = 2",
        "print(Box)",
    ]


def test_data_blocks_are_tables_and_lines() -> None:
    assert shape(read("a.csv", "name,age\nAda,36\n")) == [("table", "name,age\nAda,36")]
    assert shape(read("a.json", '[{"a": 1}]\n')) == [("code", '[{"a": 1}]')]


def test_notebook_keeps_cells_and_drops_outputs() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": ["print(1)"], "outputs": [{"data": "noise"}]},
    ]
    document = read("n.ipynb", json.dumps({"cells": cells}))
    assert document.title == "Title"
    assert "noise" not in document.text
    assert ("code", "```\nprint(1)\n```") in shape(document)


def test_html_keeps_content_and_drops_navigation() -> None:
    document = read(
        "p.html",
        "<html><head><title>T</title><script>evil()</script></head><body><nav>menu</nav>"
        "<main><h1>Guide<a class='headerlink'>¶</a></h1><p>One <b>two</b>&nbsp;three.<br>Four</p>"
        "<ul><li>a<ul><li>b</li></ul></li></ul><pre>x = 1\n  y</pre>"
        "<table><tr><th>k</th><td>v <style>no</style></td></tr>"
        "<tr><td>1</td><td>2</td></tr></table>"
        "<div hidden>gone</div></main><footer>foot</footer></body></html>",
    )
    assert document.title == "Guide"
    assert shape(document) == [
        ("heading", "Guide"),
        ("paragraph", "One two three.\nFour"),
        ("list", "- a\n  - b"),
        ("code", "```\nx = 1\n  y\n```"),
        ("table", "| k | v |\n| 1 | 2 |"),
    ]


def test_html_is_decoded_with_declared_encoding() -> None:
    page = '<meta charset="iso-8859-2"><p>Zażółć gęślą</p>'.encode("iso-8859-2")
    assert "Zażółć gęślą" in read("a.html", page).text


def test_html_with_thousands_of_nested_elements_is_refused() -> None:
    with pytest.raises(BadInput, match="html"):
        read("deep.html", "<div>" * 5000 + "<p>treasure</p>")


def test_pdf_finds_pages_headings_and_paragraphs() -> None:
    document = read(
        "a.pdf",
        pdf(
            [
                words("Manual", 720, 20),
                words("The pump starts when the red", 690),
                words("lever is down.", 677),
                words("Safety", 640, 14),
                words("Wear gloves at all times.", 620),
            ],
            [words("Second page.", 720)],
        ),
    )
    assert document.title == "Manual"
    assert headings(document) == [(1, "Manual"), (2, "Safety")]
    assert "The pump starts when the red lever is down." in document.text
    assert [b.page for b in document.blocks] == [1, 1, 1, 1, 2]


def test_pdf_running_heads_are_left_out() -> None:
    pages = [
        [words("ACME", 760), words(f"Body {'abcd'[n]} text.", 700), words(f"Page {n}", 40)]
        for n in range(4)
    ]
    text = read("a.pdf", pdf(*pages)).text
    assert "Body c text." in text
    assert "ACME" not in text and "Page" not in text


def test_pdf_lines_that_end_early_stay_lines() -> None:
    page = [
        words("The valve is opened by hand and closed by the motor of the pump, then", 720),
        words("locked.", 707),
        words("Open: left", 660),
        words("Closed: right and then all the way to the other end", 647),
    ]
    text = read("a.pdf", pdf(page)).text
    assert "pump, then locked." in text and "Open: left\nClosed: right" in text


SECRET = f"<< /Filter /Standard /V 1 /R 2 /O <{'41' * 32}> /U <{'42' * 32}> /P -4 >>"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"%PDF-1.4 nothing of the kind", "damaged or truncated"),
        (pdf([words("hello", 700)])[:200], "damaged or truncated"),
        (pdf(["0 0 100 100 re f"], ["0 0 9 9 re f"]), "2 pages contain no text"),
        (
            pdf([words("secret", 700)], extra=SECRET, trailer="/Encrypt 5 0 R /ID [<41><41>] "),
            "encrypted",
        ),
    ],
    ids=["empty", "unreadable", "truncated", "scanned", "encrypted"],
)
def test_pdf_that_is_unreadable_raises_reason(data: bytes, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        read("a.pdf", data)


@pytest.mark.parametrize(
    "encoding",
    ["utf-8-sig", "utf-16", "utf-32", "cp1252", "cp1250", "cp1251", "shift_jis"],
)
def test_decode_recognises_encodings(encoding: str) -> None:
    text = {
        "cp1250": "Zażółć gęślą jaźń, a potem święto źrebiąt i łąki pełne żab.\n",
        "cp1251": "Съешь же ещё этих мягких французских булок, да выпей чаю.\n",
        "shift_jis": "日本語の文章です。これはテストのための長い文章です。\n",
    }.get(encoding, "Größe und Maß: für Öl und Äpfel, naïve Café.\n") * 8
    assert read("a.txt", text.encode(encoding)).text == text


def test_decode_removes_control_characters() -> None:
    document = read("a.txt", "a\x00b\x1b[31m\r\nc\rd\ufeff\n" + "long enough line of text\n" * 9)
    assert document.text.startswith("a b [31m\nc\nd\n")


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.py"])
def test_decode_rejects_binary_files(name: str) -> None:
    with pytest.raises(BadInput):
        read(name, bytes(range(256)) * 40)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.xyz", "x"),
        ("a.txt", " \n"),
        ("a.html", "<p></p>"),
        ("a.ipynb", "[]"),
    ],
)
def test_parse_raises_reason_for_unreadable_files(name: str, data: bytes | str) -> None:
    with pytest.raises(SeedbedError) as caught:
        read(name, data)
    assert 10 < len(str(caught.value)) < 300


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.csv", "a.rst", "a.py", "a.jsonl"])
def test_parse_reads_five_megabytes_in_one_line(name: str) -> None:
    line = "word " * 1_000_000
    if name == "a.jsonl":
        line = json.dumps(line)
    assert len(read(name, line).text) > 4_900_000
