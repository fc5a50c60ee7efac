"""HTML of the page: pictures, and results with a button for each place on the picture.

    picture("invoice.png", [pixels])     # its pages below each other
    fields(extraction)                   # a table; a value is a button with the box it came from

Everything is escaped with `seedbed.server.html`. Pictures are data URLs, because the page serves no
files. `page.js` draws the boxes, and connects each with its button.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vision_app.files.pixels import Pixels, decode, message_part
from vision_app.ocr.page import Box, Page
from vision_app.serve.terminal import percent
from seedbed.server.html import escape, hint, multiline, table

Result = Mapping[str, Any]
MAX_LINES = 2000  # of text; a browser becomes slow above it


def data_url(pixels: Pixels, side: int) -> str:
    """A picture as a JPEG of at most `side` pixels on its longer side, in a data URL."""
    return f"data:image/jpeg;base64,{message_part(pixels, side)['base64']}"


def picture(name: str, pages: Iterable[Pixels], side: int = 1400) -> str:
    """All pages below each other; `width` and `height` are the pixels that boxes refer to."""
    figures = (
        f"<figure><img src='{data_url(page, side)}' width='{page.shape[1]}'"
        f" height='{page.shape[0]}' alt='{escape(name)}, page {number}'></figure>"
        for number, page in enumerate(pages, 1)
    )
    return f"<div class='frame' tabindex='0'>{''.join(figures)}</div>"


def _button(mark: str, content: str, title: str, page: int, box: Box) -> str:
    """A button for a place; `mark` is the name of its tab and a number."""
    place = f"data-mark='{mark}' data-page='{page}' data-box='{' '.join(f'{x:.1f}' for x in box)}'"
    return f"<button type='button' {place} title='{escape(title)}'>{content}</button>"


def _lines(items: Iterable[str]) -> str:
    return f"<ul class='lines'>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def waiting(text: str) -> str:
    """A remark that something is in progress."""
    return f"<div class='hint waiting' role='status'>{escape(text)}</div>"


def text(pages: Sequence[Page]) -> str:
    """The lines of text."""
    if not any(page.lines for page in pages):
        return hint("No text was found in this picture.")
    content, count = hint("Select a line to see where it is."), 0
    for page in pages:
        lines = page.lines[: MAX_LINES - count]
        content += f"<h3>Page {page.number}</h3>" if len(pages) > 1 else ""
        content += _lines(
            _button(f"text-{n}", escape(x.text), x.text, page.number, page.to_input(x.box))
            for n, x in enumerate(lines, count)
        )
        count += len(lines)
    left_out = sum(len(page.lines) for page in pages) - count
    return content + (hint(f"{left_out:,} more lines are left out.") if left_out else "")


def fields(extraction: Result) -> str:
    """Fields as a table with their values and confidences."""
    rows = []
    for number, (name, content) in enumerate(extraction["fields"].items()):
        evidence, cell = extraction["evidence"].get(name), value(content, name)
        if content is None:
            cell = "<span class='muted'>not found</span>"
        elif evidence and evidence["box"]:  # OCR read it, too
            place = evidence["text"], evidence["page"], evidence["box"]
            cell = _button(f"fields-{number}", cell, *place)
        label = escape(name.replace("_", " ").capitalize())
        rows.append((label, cell, percent(evidence["confidence"]) if evidence else ""))
    page = "".join(f"<div class='warning'>{multiline(w)}</div>" for w in extraction["warnings"])
    values = (content for name, content in extraction["fields"].items() if name != "document_type")
    if all(content is None for content in values):
        return page + hint("None of the fields was found in this picture.")
    page += table(("Field", "Value", "Confidence"), rows, "fields")
    return page + hint("Select a value to see the words it came from.")


def value(content: Any, name: str = "") -> str:
    """A field's value as HTML; amounts have two decimals.

    >>> value(12.5), value(2.0, "quantity"), value("a"), value([{"amount": 1.0}])
    ('12.50', '2', 'a', '1 row, see JSON below')
    """
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, float) and round(content, 2) == content:
        return f"{content:g}" if "quantity" in name else f"{content:,.2f}"
    if isinstance(content, list):
        return f"{len(content)} row{'s' * (len(content) != 1)}, see JSON below"
    return escape(content)


def answer(question: str, result: Result) -> str:
    """A question, its answer, and the words that support it."""
    content = f"<p class='question'>{multiline(question)}</p>"
    content += f"<p class='lead'>{multiline(result['answer'])}</p>"
    buttons = [
        _button(f"answer-{n}", escape(x["text"]), x["text"], x["page"], x["box"])
        for n, x in enumerate(result["evidence"])
    ]
    return content + (hint("Read from:") + _lines(buttons) if buttons else "")


def overlay(result: Result) -> str:
    """The picture with the pixels that speak for a class."""
    url = data_url(decode(result["png"]), 1400)
    label, confidence = escape(result["label"]), percent(result["confidence"])
    return (
        f"<figure class='overlay'><img src='{url}' alt='Pixels that speak for {label}'>"
        f"<figcaption>Warm colors: pixels that speak for <b>{label}</b> ({confidence})."
        " Without them the classifier is less certain.</figcaption></figure>"
    )
