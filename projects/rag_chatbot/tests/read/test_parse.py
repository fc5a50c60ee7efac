"""Every format on good and on bad bytes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag_chatbot.read import Document, parse
from seedbed.errors import BadInput


def read(name: str, data: bytes | str) -> Document:
    return parse(Path(name), data.encode() if isinstance(data, str) else data)


def shape(document: Document) -> list[str]:
    return [f"{b.kind}:{document.text[b.start : b.end]}" for b in document.blocks]


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


NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": ["print(1)"], "outputs": [{"data": "noise"}]},
    ]
}
MARKDOWN = """---
title: A guide
---
# Start ##
Some *words*.

Setext
------
- a
- b

| x | y |
|---|---|
| 1 | 2 |

```sh
# not a heading

ls
```
#nor this
"""
PAGE = """<html><head><title>T</title><script>evil()</script></head><body><nav>menu</nav>
<main><h1>Guide<a class='headerlink'>¶</a></h1><p>One <b>two</b>&nbsp;three.<br>Four</p>
<ul><li>a<ul><li>b</li></ul></li></ul><pre>x = 1\n  y</pre>
<table><tr><th>k</th><td>v <style>no</style></td></tr><tr><td>1</td><td>2</td></tr></table>
<div hidden>gone</div></main><footer>foot</footer></body></html>"""


@pytest.mark.parametrize(
    ("name", "text", "title", "blocks"),
    [
        (
            "guide.md",
            MARKDOWN,
            "A guide",
            [
                "heading:Start",
                "paragraph:Some *words*.",
                "heading:Setext",
                "list:- a\n- b",
                "table:| x | y |\n|---|---|\n| 1 | 2 |",
                "code:```sh\n# not a heading\n\nls\n```",
                "paragraph:#nor this",
            ],
        ),
        ("rule.md", "---\n\nRed.\n\n---\n\nOld.\n", "rule", ["paragraph:Red.", "paragraph:Old."]),
        ("a.rst", "Title\n=====\n\nTwo\n---\n", "Title", ["heading:Title", "heading:Two"]),
        ("a.adoc", "= Top\n\n== Part\n", "Top", ["heading:Top", "heading:Part"]),
        (
            "box.py",
            "import os\n\n\nclass Box:\n    x = 1\n\n    y = 2\n",
            "box.py",
            ["code:import os", "code:class Box:\n    x = 1\n\n    y = 2"],
        ),
        ("a.csv", "name,age\nAda,36\n", "a", ["table:name,age\nAda,36"]),
        ("a.json", '[{"a": 1}]\n', "a", ['code:[{"a": 1}]']),
        (
            "n.ipynb",
            json.dumps(NOTEBOOK),
            "Title",
            ["heading:Title", "paragraph:words", "code:```\nprint(1)\n```"],
        ),
        (
            "p.html",
            PAGE,
            "Guide",
            [
                "heading:Guide",
                "paragraph:One two three.\nFour",
                "list:- a\n  - b",
                "code:```\nx = 1\n  y\n```",
                "table:| k | v |\n| 1 | 2 |",
            ],
        ),
    ],
)
def test_blocks_are_spans_of_the_text(name: str, text: str, title: str, blocks: list[str]) -> None:
    document = read(name, text)
    assert (document.title, shape(document)) == (title, blocks)
    assert document.text == text or name in ("n.ipynb", "p.html")


def test_html_is_decoded_with_declared_encoding() -> None:
    page = '<meta charset="iso-8859-2"><p>Zażółć gęślą</p>'.encode("iso-8859-2")
    assert "Zażółć gęślą" in read("a.html", page).text


def test_pdf_has_pages_headings_and_paragraphs_without_running_heads() -> None:
    first = [
        words("Manual", 720, 20),
        words("The pump starts when the red", 690),
        words("lever is down.", 677),
        words("Safety", 640, 14),
    ]
    pages = [first, *([words(f"Body {name} text.", 690)] for name in "abc")]
    for n, page in enumerate(pages):
        page[:] = [words("ACME", 770), *page, words(f"Page {n}", 40)]
    document = read("a.pdf", pdf(*pages))
    assert document.title == "Manual"
    assert shape(document)[:3] == [
        "heading:Manual",
        "paragraph:The pump starts when the red lever is down.",
        "heading:Safety",
    ]
    assert [(b.level, b.page) for b in document.blocks] == [
        *((1, 1), (0, 1), (2, 1)),
        *((0, 2), (0, 3), (0, 4)),
    ]


def test_pdf_lines_that_end_early_stay_lines() -> None:
    page = [
        words("The valve is opened by hand and closed by the motor of the pump, then", 720),
        words("locked.", 707),
        words("Open: left", 660),
        words("Closed: right and then all the way to the other end", 647),
    ]
    text = read("a.pdf", pdf(page)).text
    assert "pump, then locked." in text and "Open: left\nClosed: right" in text


ENCRYPTED = "/Encrypt 5 0 R /ID [<41><41>] "
SECRET = f"<< /Filter /Standard /V 1 /R 2 /O <{'41' * 32}> /U <{'42' * 32}> /P -4 >>"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.pdf", b"%PDF-1.4 nothing of the kind", "damaged or truncated"),
        ("a.pdf", pdf([words("hello", 700)])[:200], "damaged or truncated"),
        ("a.pdf", pdf(["0 0 100 100 re f"], ["0 0 9 9 re f"]), "2 pages contain no text"),
        ("a.pdf", pdf([words("secret", 700)], extra=SECRET, trailer=ENCRYPTED), "encrypted"),
        ("deep.html", b"<div>" * 5000 + b"treasure", "not of the format html"),
        ("a.html", b"<p></p>", "no text"),
        ("a.ipynb", b"[]", "Not a Jupyter notebook"),
        ("a.xyz", b"x", "not supported"),
        ("a.txt", b" \n", "empty"),
        *((f"a.{end}", bytes(range(256)) * 40, "encoding|binary") for end in ("txt", "md", "py")),
    ],
)
def test_unreadable_file_is_refused_with_its_reason(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        read(name, data)


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


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.csv", "a.rst", "a.py", "a.jsonl"])
def test_parse_reads_five_megabytes_in_one_line(name: str) -> None:
    line = "word " * 1_000_000
    if name == "a.jsonl":
        line = json.dumps(line)
    assert len(read(name, line).text) > 4_900_000
