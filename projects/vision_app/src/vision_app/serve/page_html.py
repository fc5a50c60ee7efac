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
    style = "; ".join(f"{key}: {value:.3%}" for key, value in place.items())
    return (
        f"<span class='box {box.layer}' data-mark='{escape(box.mark)}' style='{style}'"
        f" title='{escape(box.title)}'></span>"
    )


def _alt(name: str, number: int, count: int) -> str:
    return escape(name if count == 1 else f"{name}, page {number}")


def waiting(text: str) -> str:
    """A remark that something is in progress."""
    return f"<div class='hint waiting' role='status'>{escape(text)}</div>"


def overview(labels: Result | None, description: str, warnings: Sequence[str]) -> str:
    """A description, then the labels as bars, or that the classifier is not sure."""
    content = "".join(hint(warning) for warning in warnings)
    if description:
        content += f"<p class='lead'>{multiline(description)}</p>"
    if labels:
        verdict = "" if labels["sure"] else badge("Not sure", "unsure")
        content += f"<h3>Looks like {verdict}</h3>{bars(labels['labels'])}"
        if not labels["sure"]:
            content += hint("None of the labels is likely enough to rely on.")
    return content


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
    rows = []
    for number, (name, value) in enumerate(extraction["fields"].items()):
        evidence = extraction["evidence"].get(name)
        label = escape(name.replace("_", " ").capitalize())
        if value is None:
            rows.append((label, "<span class='muted'>not on the page</span>", ""))
        elif evidence is None:
            rows.append((label, _value(value), ""))
        else:
            button = f"<button type='button' data-mark='field-{number}'>{_value(value)}</button>"
            rows.append((label, button, percent(evidence["confidence"])))
    content = "".join(
        f"<div class='warning'>{multiline(warning)}</div>" for warning in extraction["warnings"]
    )
    content += table(("Field", "Value", "Confidence"), rows, "fields")
    if any(extraction["evidence"].values()):
        content += hint("Select a value to see the words it came from.")
    return content + _json(extraction)


def _value(value: Any) -> str:
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        names = list(dict.fromkeys(name for item in value for name in item))
        headers = [escape(name.replace("_", " ")) for name in names]
        return table(
            headers, [[_value(item.get(name, "")) for name in names] for item in value], "items"
        )
    if isinstance(value, dict | list):
        return escape(json.dumps(value, ensure_ascii=False))
    return "–" if value is None else escape(value)


def _json(value: Any) -> str:
    # As in a URL of data, line breaks must survive the HTML block.
    content = escape(json.dumps(value, indent=2, ensure_ascii=False, default=str))
    content = content.replace("\n", "&#10;")
    return f"<details><summary>As JSON</summary><pre><code>{content}</code></pre></details>"


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


def gallery(hits: Sequence[Result], thumbnails: Sequence[bytes | None]) -> str:
    """Search results with thumbnails, best first."""
    if not hits:
        return hint("No similar images. Add a folder to the index: vision-app index FOLDER")
    items = ""
    for hit, thumbnail in zip(hits, thumbnails, strict=True):
        name = escape(PurePath(hit["file"]).name)
        image = f"<img src='{data_url(thumbnail)}' alt=''>" if thumbnail else ""
        items += (
            f"<li title='{escape(hit['file'])}'><span class='thumbnail'>{image}</span>"
            f"<span class='name'>{name}</span><span class='muted'>{percent(hit['score'])}</span></li>"
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
