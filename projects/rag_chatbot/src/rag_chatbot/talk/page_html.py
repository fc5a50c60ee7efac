"""What the page shows, as HTML in which nothing that a document, a model or a user wrote is live.

Every text is escaped and set inside one HTML block without blank lines, so that neither HTML nor
Markdown in it (an image that calls home, a script, a link) is interpreted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from rag_chatbot.read.chunk import plain
from rag_chatbot.talk.terminal import place

if TYPE_CHECKING:
    from gradio.components.chatbot import MessageDict

WAITING = "<div class='hint'>Searching the documents …</div>"
WELCOME = (
    "<div class='welcome'><h2>What would you like to know?</h2>"
    "<p>Answers come from the documents, with a link to each passage.</p></div>"
)
EMPTY = (
    "<div class='welcome'><h2>There are no documents here yet</h2>"
    "<p>Add some under <b>Documents</b>, then ask about them.</p></div>"
)
_FENCE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)(?:^[ \t]*```[ \t]*$|\Z)", re.S | re.M)
_MARK = re.compile(r"&#91;(\d+)&#93;")  # [1], escaped


def message(html: str) -> MessageDict:
    """A chat message of the assistant."""
    return {"role": "assistant", "content": html}


def plain_text(text: str) -> str:
    """Text as one inert block; line breaks are kept."""
    return f"<div>{_inline(text)}</div>"


def text(answer: str, links: Mapping[int, str] | None = None) -> str:
    """An answer's text with its code blocks; `[n]` becomes a link where there is one for n."""
    html = ""
    for number, part in enumerate(_FENCE.split(answer)):
        if number % 2:  # what stood inside a fence; a blank line would end the HTML block
            code = _escape(part.strip("\n")).replace("\n", "&#10;")
            html += f"<pre><code>{code}</code></pre>"
        else:
            html += _MARK.sub(lambda found: _mark(found, links or {}), _inline(part.strip()))
    return f"<div class='answer'>{html}</div>"


def _mark(found: re.Match[str], links: Mapping[int, str]) -> str:
    number = int(found[1])
    return _link(links[number], found[0], "cite") if number in links else found[0]


def answer(given: dict[str, Any], collection: str) -> str:
    """A whole answer: text, notices, each source with its quote and a link to the passage, and how
    it came about."""
    links = {item["n"]: view_link(item, collection) for item in given["citations"]}
    html = text(given["answer"], links)
    html += "".join(f"<p class='hint'>{_inline(notice)}</p>" for notice in given["notices"])
    if given["citations"]:
        items = "".join(
            f"<li value='{item['n']}'>{_source(item, item['quote'], collection)}</li>"
            for item in given["citations"]
        )
        html += f"<ol class='sources'>{items}</ol>"
    elif given["abstained"] and given["passages"]:
        items = "".join(
            f"<li>{_source(item, item['text'], collection)}</li>" for item in given["passages"][:3]
        )
        html += f"<p class='hint'>The nearest passages:</p><ul class='sources'>{items}</ul>"
    return f"<div>{html}{details(given, collection)}</div>"


def details(given: dict[str, Any], collection: str) -> str:
    """How an answer came about: the question as understood, the chunks, timings and tokens."""
    read, written = given["usage"].get("input_tokens", 0), given["usage"].get("output_tokens", 0)
    facts = {
        "Searched for": given["question"],
        "Answered by": f"{given['model']}, prompt {given['prompt_version']}"
        if read or written
        else "sentences of the documents; no language model was asked",
        "Time": ", ".join(_seconds(name, value) for name, value in given["timings"].items()),
        "Tokens": f"{read} read, {written} written",
    }
    rows = "".join(
        f"<tr><th>{name}</th><td>{_inline(str(value))}</td></tr>" for name, value in facts.items()
    )
    chunks = "".join(
        f"<tr><td>{item['score']:.3f}</td><td>{_link_to(item, collection)}"
        f"<br>{_inline(_shorten(item['text'], 240))}</td></tr>"
        for item in given["passages"]
    )
    return (
        "<details class='how'><summary>How this was answered</summary>"
        f"<table class='facts'>{rows}</table><table class='chunks'>"
        f"<tr><th>Score</th><th>Retrieved passages</th></tr>{chunks}</table></details>"
    )


def error(reason: str) -> str:
    return f"<div class='error'>{_inline(reason)}</div>"


def hint(said: str) -> str:
    return f"<div class='hint'>{_inline(said)}</div>"


def summary(ingested: dict[str, Any]) -> str:
    """What became of uploaded files: counts, then each that could not be read, with its reason."""
    counts = [f"{ingested[kind]} {kind}" for kind in ("added", "updated", "unchanged")]
    said = ", ".join(count for count in counts if not count.startswith("0 "))
    html = hint(f"{said[0].upper()}{said[1:]}." if said else "Nothing was added.")
    for kind in ("failed", "skipped"):
        html += "".join(error(f"{item['path']}: {item['reason']}") for item in ingested[kind])
    return html


def view_link(item: dict[str, Any], collection: str) -> str:
    """The address of a document with this passage marked."""
    query = {"collection": collection, **{key: item[key] for key in ("source", "start", "end")}}
    return f"/v1/documents/view?{urlencode(query)}#quote"


def _source(item: dict[str, Any], quote: str, collection: str) -> str:
    # For reading: without markup, and a line break inside a paragraph is only a space.
    shown = _inline(_shorten(re.sub(r"(?<!\n)\n(?!\n)", " ", plain(quote)), 400))
    return f"{_link_to(item, collection)}<blockquote>{shown}</blockquote>"


def _link_to(item: dict[str, Any], collection: str) -> str:
    return _link(view_link(item, collection), _line(place(item)), "place")


def _link(href: str, html: str, kind: str) -> str:
    return f"<a class='{kind}' href='{escape(href)}' target='_blank' rel='noopener'>{html}</a>"


def _seconds(name: str, value: float) -> str:
    shown = f"{value:.1f} s" if value >= 1 else f"{value * 1000:.0f} ms"
    return f"{name.replace('_', ' ')} {shown}"


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length].rsplit(" ", 1)[0] + " …"


def _line(text: str) -> str:
    return _escape(text).replace("\n", " ")


def _inline(text: str) -> str:
    return re.sub(r"\n+", "<br>", _escape(text))


def _escape(text: str) -> str:
    # Backslash, `$` and friends mean something to the page's Markdown and LaTeX even inside HTML;
    # a control character means nothing to anyone.
    shown = re.sub(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f]", " ", text)
    return re.sub(r"[\\`*_{}\[\]$~|]", lambda found: f"&#{ord(found[0])};", escape(shown))
