"""HTML of the page: pictures with boxes, labels, text, fields, answers, hits and overlays.

    page_html.picture([view], [Box("fields", "field-0", 1, (10, 10, 80, 30), "total")])

Everything is escaped with `seedbed.server.html`. Pictures are data URLs, because the page serves no
files. A box and the words it belongs to have the same `data-mark`; the script in `page.py` connects
them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

from vision_app.ocr.page import Box as Corners
from vision_app.ocr.page import Page
from seedbed.server.html import badge, escape, hint, multiline, table

Result = Mapping[str, Any]
MAX_LINES = 2000  # of text; a browser becomes slow above it


class View(NamedTuple):
    """One page to look at: a JPEG, and the size of the page that boxes refer to, in pixels."""

    jpeg: bytes
    width: int
    height: int


class Box(NamedTuple):
    """A box on a page (from 1), visible while the tab `layer` is open."""

    layer: str
    mark: str
    page: int
    corners: Corners
    title: str


def picture(name: str, views: Sequence[View], boxes: Iterable[Box]) -> str:
    """All pages below each other, with their boxes."""
    spans: dict[int, list[str]] = {}
    for box in boxes:
        if 1 <= box.page <= len(views):
            spans.setdefault(box.page, []).append(_span(box, views[box.page - 1]))
    figures = "".join(
        f"<figure><img src='{data_url(view.jpeg)}' width='{view.width}' height='{view.height}'"
        f" alt='{_alt(name, number, len(views))}'>{''.join(spans.get(number, []))}</figure>"
        for number, view in enumerate(views, 1)
    )
    return f"<div class='frame' tabindex='0'>{figures}</div>"


def _span(box: Box, view: View) -> str:
    left, top, right, bottom = box.corners
    place = {
        "left": left / view.width,
        "top": top / view.height,
        "width": (right - left) / view.width,
        "height": (bottom - top) / view.height,
    }
    style = "; ".join(f"{side}: {share:.3%}" for side, share in place.items())
    return (
        f"<span class='box {box.layer}' data-mark='{escape(box.mark)}' style='{style}'"
        f" title='{escape(box.title)}'></span>"
    )


def _alt(name: str, number: int, count: int) -> str:
    return escape(name if count == 1 else f"{name}, page {number}")


def waiting(text: str) -> str:
    """A remark that something is in progress."""
    return f"<div class='hint waiting' role='status'>{escape(text)}</div>"


def overview(
    labels: Result | None,
    description: str,
    warnings: Sequence[str],
    facts: Result | None = None,
    *,
    is_document: bool = False,
) -> str:
    """A description, the facts of a document, and the labels as bars or that none is sure.

    For a document the labels are folded up: the classifier knows photographs only.
    """
    content = "".join(hint(warning) for warning in warnings)
    if description:
        content += f"<p class='lead'>{multiline(description)}</p>"
    rows = [
        (field_name(name), value(fact, name))
        for name, fact in (facts or {}).items()
        if isinstance(fact, str | float | int)
    ]
    content += table(("Field", "Value"), rows, "fields facts") if rows else ""
    if not labels:
        return content
    verdict = "" if labels["sure"] else badge("Not sure", "unsure")
    ranking = bars(labels["labels"])
    if is_document:
        summary = "<summary>Labels of the classifier, which knows photos only</summary>"
        return f"{content}<details>{summary}{ranking}</details>"
    content += f"<h3>Looks like {verdict}</h3>{ranking}"
    unsure = "No label is likely enough to rely on."
    return content + ("" if labels["sure"] else hint(unsure))


def bars(labels: Sequence[Result]) -> str:
    """Labels with their confidence as bars."""
    rows = "".join(
        f"<li><span class='name'>{escape(item['label'])}</span>"
        f"<span class='percent'>{percent(item['confidence'])}</span>"
        f"<span class='bar'><span style='width: {item['confidence']:.1%}'></span></span></li>"
        for item in labels
    )
    return f"<ul class='bars'>{rows}</ul>"


def text(pages: Sequence[Page]) -> str:
    """The lines of text; each is connected with its box on the picture."""
    if not any(page.lines for page in pages):
        return hint("No text was found in this picture.")
    content, count = "", 0
    for page in pages:
        if len(pages) > 1:
            content += f"<h3>Page {page.number}</h3>"
        lines = page.lines[: MAX_LINES - count]
        count += len(lines)
        content += "".join(
            f"<li><button type='button' data-mark='{text_mark(page, n)}'>{escape(line.text)}"
            "</button></li>"
            for n, line in enumerate(lines)
        )
    content = hint("Select a line to see where it is.") + f"<ul class='lines'>{content}</ul>"
    left_out = sum(len(page.lines) for page in pages) - count
    return content + (hint(f"{left_out:,} more lines are left out.") if left_out > 0 else "")


def text_boxes(pages: Sequence[Page]) -> list[Box]:
    """The boxes of all lines of text."""
    return [
        Box("text", text_mark(page, n), page.number, page.to_input(line.box), line.text)
        for page in pages
        for n, line in enumerate(page.lines)
    ]


def text_mark(page: Page, line: int) -> str:
    """The name that a line of text and its box share."""
    return f"text-{page.number}-{line}"


def fields(extraction: Result) -> str:
    """Fields as a table, connected with their evidence on the picture, and as JSON."""
    rows, lists = [], ""
    for number, (name, content) in enumerate(extraction["fields"].items()):
        evidence = extraction["evidence"].get(name)
        shown = value(content, name)
        if _is_table(content):
            shown = f"{len(content)} row{'s' * (len(content) != 1)}, see below"
            lists += f"<h3>{field_name(name)}</h3>{_items(content)}"
        if content is None:
            shown = "<span class='muted'>not on the page</span>"
        elif evidence:
            shown = f"<button type='button' data-mark='field-{number}'>{shown}</button>"
        confidence = percent(evidence["confidence"]) if evidence else ""
        rows.append((field_name(name), shown, confidence))
    page = "".join(
        f"<div class='warning'>{multiline(warning)}</div>" for warning in extraction["warnings"]
    )
    if all(content is None for content in extraction["fields"].values()):
        return page + hint("None of the fields was found in this picture.") + _json(extraction)
    page += table(("Field", "Value", "Confidence"), rows, "fields")
    if any(extraction["evidence"].values()):
        page += hint("Select a value to see the words it came from.")
    return page + lists + _json(extraction)


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
    if isinstance(content, float) and round(content, 2) == content:
        return f"{content:g}" if "quantity" in name else f"{content:,.2f}"
    if isinstance(content, dict | list):
        return escape(json.dumps(content, ensure_ascii=False))
    return "–" if content is None else escape(content)


def _is_table(content: Any) -> bool:
    is_list = isinstance(content, list) and bool(content)
    return is_list and all(isinstance(item, dict) for item in content)


def _items(items: Sequence[Result]) -> str:
    names = list(dict.fromkeys(name for item in items for name in item))
    rows = [[value(item.get(name), name) for name in names] for item in items]
    return table([field_name(name) for name in names], rows, "items")


def _json(content: Any) -> str:
    text = escape(json.dumps(content, indent=2, ensure_ascii=False, default=str))
    return f"<details><summary>As JSON</summary><pre><code>{text}</code></pre></details>"


def field_boxes(extraction: Result) -> list[Box]:
    """The boxes of the fields' evidence."""
    return [
        Box(
            "fields", f"field-{number}", item["page"], tuple(item["box"]), f"{name}: {item['text']}"
        )
        for number, name in enumerate(extraction["fields"])
        if (item := extraction["evidence"].get(name)) and item.get("box")
    ]


def answer(question: str, result: Result) -> str:
    """A question, its answer, and the words that support it."""
    items = "".join(
        f"<li><button type='button' data-mark='answer-{n}'>{escape(item['text'])}</button></li>"
        for n, item in enumerate(result.get("evidence", ()))
    )
    content = f"<p class='question'>{multiline(question)}</p>"
    content += f"<p class='lead'>{multiline(result['answer'])}</p>"
    return content + (f"{hint('Read from:')}<ul class='lines'>{items}</ul>" if items else "")


def answer_boxes(result: Result) -> list[Box]:
    """The boxes of the words that support an answer."""
    return [
        Box("answer", f"answer-{n}", item.get("page", 1), tuple(item["box"]), item["text"])
        for n, item in enumerate(result.get("evidence", ()))
        if item.get("box")
    ]


def detections(result: Result) -> str:
    """The objects in a picture, connected with their boxes."""
    if not result["detections"]:
        return hint("Nothing of that kind was found.")
    rows = [
        (
            f"<button type='button' data-mark='object-{n}'>{escape(item['label'])}</button>",
            percent(item["confidence"]),
        )
        for n, item in enumerate(result["detections"])
    ]
    return table(("Object", "Confidence"), rows, "fields")


def detection_boxes(result: Result) -> list[Box]:
    """The boxes of the objects."""
    return [
        Box("objects", f"object-{n}", 1, tuple(item["box"]), item["label"])
        for n, item in enumerate(result["detections"])
    ]


def no_detector() -> str:
    """How to enable the detection of objects."""
    return hint(
        "Finding any object by its name needs a detector. Set VISION_DETECTOR, e.g. to"
        " hf:google/owlv2-base-patch16-ensemble, and restart."
    )


def gallery(hits: Sequence[Result], thumbnails: Sequence[bytes | None]) -> str:
    """Search results with thumbnails, best first."""
    if not hits:
        return hint("No similar images. Add a folder to the index: vision-app index FOLDER")
    items = ""
    for hit, thumbnail in zip(hits, thumbnails, strict=True):
        image = f"<img src='{data_url(thumbnail)}' alt=''>" if thumbnail else ""
        items += (
            f"<li title='{escape(hit['file'])}'><span class='thumbnail'>{image}</span>"
            f"<span class='name'>{escape(PurePath(hit['file']).name)}</span>"
            f"<span class='muted'>{percent(hit['score'])} similar</span></li>"
        )
    return f"<ul class='gallery'>{items}</ul>"


def overlay(result: Result, jpeg: bytes) -> str:
    """The picture with the pixels that speak for a class."""
    label, confidence = escape(result["label"]), percent(result["confidence"])
    return (
        f"<figure class='overlay'><img src='{data_url(jpeg)}' alt='Pixels that speak for {label}'>"
        f"<figcaption>Warm colors: pixels that speak for <b>{label}</b> ({confidence}). Without"
        " them the classifier is less certain.</figcaption></figure>"
    )


def data_url(content: bytes) -> str:
    """A JPEG or PNG as a data URL.

    >>> data_url(b"")
    'data:image/jpeg;base64,'
    """
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def percent(share: float) -> str:
    """A share as a percentage; small ones are not shown as zero.

    >>> percent(0.873), percent(0.001)
    ('87 %', '< 1 %')
    """
    return f"{share * 100:.0f} %" if share >= 0.005 or share <= 0 else "< 1 %"
