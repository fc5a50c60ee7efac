"""HTML of the page: pictures with boxes, and the panels with results.

    panel = fields(extraction)                     # a table whose values are buttons
    picture("invoice.png", [view], panel.boxes)    # with a box for each of them

Everything is escaped with `seedbed.server.html`. Pictures are data URLs, because the page serves no
files. A box and the words it belongs to have the same `data-mark`; `page.js` connects them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from vision_app.files.pixels import Pixels, message_part
from vision_app.ocr.page import Box as Corners
from vision_app.ocr.page import Page
from seedbed.server.html import escape, hint, multiline, table

Result = Mapping[str, Any]
MAX_LINES = 2000  # of text; a browser becomes slow above it


def badge(text: str, kind: str) -> str:
    """A framed label; `kind` is a CSS class for its color."""
    return f"<span class='badge {kind}'>{escape(text)}</span>"


class View(NamedTuple):
    """One page to look at: a data URL, and the size of the page that boxes refer to, in pixels."""

    url: str
    width: int
    height: int


class Box(NamedTuple):
    """A box on a page (from 1), visible while its tab is open; `mark` connects it with words."""

    tab: str
    mark: str
    page: int
    corners: Corners
    title: str


class Panel(NamedTuple):
    """A result as HTML, and the boxes that belong to it."""

    html: str
    boxes: Sequence[Box] = ()


def data_url(pixels: Pixels, side: int) -> str:
    """A picture as a JPEG of at most `side` pixels on its longer side, in a data URL."""
    return f"data:image/jpeg;base64,{message_part(pixels, side)['base64']}"


def picture(name: str, views: Sequence[View], boxes: Iterable[Box]) -> str:
    """All pages below each other, with their boxes."""
    figures = [
        f"<img src='{view.url}' width='{view.width}' height='{view.height}'"
        f" alt='{escape(name if len(views) == 1 else f'{name}, page {number}')}'>"
        for number, view in enumerate(views, 1)
    ]
    for box in boxes:
        if 1 <= box.page <= len(views):
            figures[box.page - 1] += _box(box, views[box.page - 1])
    content = "".join(f"<figure>{figure}</figure>" for figure in figures)
    return f"<div class='frame' tabindex='0'>{content}</div>"


def _box(box: Box, view: View) -> str:
    (left, top, right, bottom), width, height = box.corners, view.width, view.height
    style = f"left: {left / width:.3%}; top: {top / height:.3%};"
    style += f" width: {(right - left) / width:.3%}; height: {(bottom - top) / height:.3%}"
    mark, title = escape(box.mark), escape(box.title)
    return f"<span class='box {box.tab}' data-mark='{mark}' style='{style}' title='{title}'></span>"


def _button(mark: str, content: str) -> str:
    return f"<button type='button' data-mark='{mark}'>{content}</button>"


def _lines(items: Iterable[str]) -> str:
    return f"<ul class='lines'>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def waiting(text: str) -> str:
    """A remark that something is in progress."""
    return f"<div class='hint waiting' role='status'>{escape(text)}</div>"


def overview(labels: Result | None, warnings: Sequence[str], facts: Result | None = None) -> str:
    """The facts of a document, and the labels as bars.

    `facts` is None for a photograph. For a document the labels are folded up: the classifier is
    for photographs only.
    """
    content = "".join(map(hint, warnings))
    rows = [
        (field_name(name), value(fact, name))
        for name, fact in (facts or {}).items()
        if isinstance(fact, str | float | int)
    ]
    content += table(("Field", "Value"), rows, "fields facts") if rows else ""
    if labels is None:
        return content
    bars = "".join(
        f"<li><span class='name'>{escape(item['label'])}</span>"
        f"<span class='percent'>{percent(item['confidence'])}</span>"
        f"<span class='bar'><span style='width: {item['confidence']:.1%}'></span></span></li>"
        for item in labels["labels"]
    )
    bars = f"<ul class='bars'>{bars}</ul>"
    if facts is not None:
        summary = "<summary>Labels of the classifier, which is for photos only</summary>"
        return f"{content}<details>{summary}{bars}</details>"
    if labels["sure"]:
        return f"{content}<h3>Looks like</h3>{bars}"
    content += f"<h3>Looks like {badge('Not sure', 'unsure')}</h3>{bars}"
    return content + hint("No label is likely enough to rely on.")


def text(pages: Sequence[Page]) -> Panel:
    """The lines of text; each is connected with its box on the picture."""
    if not any(page.lines for page in pages):
        return Panel(hint("No text was found in this picture."))
    content, boxes = hint("Select a line to see where it is."), list[Box]()
    for page in pages:
        start = len(boxes)
        boxes += [
            Box("text", f"text-{n}", page.number, page.to_input(line.box), line.text)
            for n, line in enumerate(page.lines[: MAX_LINES - start], start)
        ]
        content += f"<h3>Page {page.number}</h3>" if len(pages) > 1 else ""
        content += _lines(_button(box.mark, escape(box.title)) for box in boxes[start:])
    left_out = sum(len(page.lines) for page in pages) - len(boxes)
    return Panel(content + (hint(f"{left_out:,} more lines are left out.") * (left_out > 0)), boxes)


def fields(extraction: Result) -> Panel:
    """Fields as a table, connected with their evidence on the picture, and as JSON."""
    rows, lists, boxes = [], "", []
    for number, (name, content) in enumerate(extraction["fields"].items()):
        mark, evidence = f"fields-{number}", extraction["evidence"].get(name)
        cell = value(content, name)
        if content and isinstance(content, list) and all(isinstance(x, dict) for x in content):
            cell = f"{len(content)} row{'s' * (len(content) != 1)}, see below"
            lists += f"<h3>{field_name(name)}</h3>{_items(content)}"
        if content is None:
            cell = "<span class='muted'>not on the page</span>"
        elif evidence and evidence["box"]:  # OCR read it, too
            cell = _button(mark, cell)
            title = f"{name}: {evidence['text']}"
            boxes.append(Box("fields", mark, evidence["page"], tuple(evidence["box"]), title))
        rows.append((field_name(name), cell, percent(evidence["confidence"]) if evidence else ""))
    page = "".join(f"<div class='warning'>{multiline(w)}</div>" for w in extraction["warnings"])
    values = (content for name, content in extraction["fields"].items() if name != "document_type")
    if all(content is None for content in values):
        page += hint("None of the fields was found in this picture.")
    else:
        page += table(("Field", "Value", "Confidence"), rows, "fields")
    page += hint("Select a value to see the words it came from.") if boxes else ""
    as_json = escape(json.dumps(extraction, indent=2, ensure_ascii=False, default=str))
    page += f"{lists}<details><summary>As JSON</summary><pre><code>{as_json}</code></pre></details>"
    return Panel(page, boxes)


def _items(items: Sequence[Result]) -> str:
    names = list(dict.fromkeys(name for item in items for name in item))
    rows = [[value(item.get(name), name) for name in names] for item in items]
    return table([field_name(name) for name in names], rows, "items")


def field_name(name: str) -> str:
    """A field's name for people.

    >>> field_name("due_date")
    'Due date'
    """
    return escape(name.replace("_", " ").capitalize())


def value(content: Any, name: str = "") -> str:
    """A field's value as HTML; amounts have two decimals.

    >>> value(12.5), value(2.0, "quantity"), value("a")
    ('12.50', '2', 'a')
    """
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, float) and round(content, 2) == content:
        return f"{content:g}" if "quantity" in name else f"{content:,.2f}"
    if isinstance(content, dict | list):
        return escape(json.dumps(content, ensure_ascii=False))
    return "–" if content is None else escape(content)


def answer(question: str, result: Result) -> Panel:
    """A question, its answer, and the words that support it."""
    boxes = [
        Box("answer", f"answer-{n}", item["page"], tuple(item["box"]), item["text"])
        for n, item in enumerate(result["evidence"])
    ]
    content = f"<p class='question'>{multiline(question)}</p>"
    content += f"<p class='lead'>{multiline(result['answer'])}</p>"
    if boxes:
        content += hint("Read from:") + _lines(_button(b.mark, escape(b.title)) for b in boxes)
    return Panel(content, boxes)


def overlay(result: Result, pixels: Pixels) -> Panel:
    """The picture with the pixels that speak for a class."""
    label, confidence = escape(result["label"]), percent(result["confidence"])
    return Panel(
        f"<figure class='overlay'><img src='{data_url(pixels, 1400)}' alt='Pixels that speak for"
        f" {label}'><figcaption>Warm colors: pixels that speak for <b>{label}</b> ({confidence})."
        " Without them the classifier is less certain.</figcaption></figure>"
    )


def percent(share: float) -> str:
    """A share as a percentage; small ones are not shown as zero.

    >>> percent(0.873), percent(0.001)
    ('87 %', '< 1 %')
    """
    return f"{share * 100:.0f} %" if share >= 0.005 or share <= 0 else "< 1 %"
