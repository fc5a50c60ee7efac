"""What the page shows, as HTML in which nothing that a document, a model or a user wrote is live.

Every text is escaped and set inside one HTML block without blank lines, so that neither HTML nor
Markdown in it (an image that calls home, a script, a link) is interpreted.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any
from urllib.parse import urlencode

from rag_chatbot.terminal import place

NOTHING_YET = "<p class='hint'>Ask something, and the steps to its answer appear here.</p>"
WAITING = "<div class='hint'>Searching the documents …</div>"


def message(html: str) -> dict[str, Any]:
    """A chat message of the assistant."""
    return {"role": "assistant", "content": html}


def plain_text(text: str) -> str:
    """Text as one inert block; line breaks are kept."""
    return f"<div>{_inline(text)}</div>"


def text(answer: str) -> str:
    """An answer while it is being written."""
    parts = re.split(r"```[\w+-]*\n?(.*?)(?:```|\Z)", answer, flags=re.S)
    # Odd places hold the insides of code fences. A line break inside <pre> is written as a
    # reference, because a blank line would end the HTML block.
    html = "".join(
        f"<pre><code>{_escape(part.strip(chr(10)))}</code></pre>".replace("\n", "&#10;")
        if place % 2
        else _inline(part.strip())
        for place, part in enumerate(parts)
    )
    return f"<div class='answer'>{html}</div>"


def answer(given: dict[str, Any], collection: str) -> str:
    """A whole answer: notices, text, and each source with its quote and a link to the passage."""
    html = "".join(f"<p class='notice'>{_escape(notice)}</p>" for notice in given["notices"])
    html += text(given["answer"])
    if given["citations"]:
        items = "".join(_source(citation, collection) for citation in given["citations"])
        html += f"<ol class='sources'>{items}</ol>"
    elif given["abstained"] and given["passages"]:
        items = "".join(_passage(passage, collection) for passage in given["passages"][:3])
        html += f"<p class='hint'>The nearest passages:</p><ul class='sources'>{items}</ul>"
    return f"<div>{html}</div>"


def details(given: dict[str, Any]) -> str:
    """How an answer came about: the question as understood, the chunks, timings and tokens."""
    facts = {
        "Question, as understood": given["question"],
        "Model": f"{given['model']} (prompt {given['prompt_version']})",
        "Timings": _pairs(given["timings"], " s"),
        "Tokens": _pairs(given["usage"]),
    }
    rows = "".join(
        f"<tr><th>{name}</th><td>{_escape(str(value))}</td></tr>" for name, value in facts.items()
    )
    chunks = "".join(
        f"<tr><td>{chunk['score']:.3f}</td><td>{_escape(place(chunk))}</td>"
        f"<td>{_escape(_shorten(chunk['text'], 240))}</td></tr>"
        for chunk in given["passages"]
    )
    return (
        f"<table class='facts'>{rows}</table><table class='chunks'>"
        f"<tr><th>score</th><th>where</th><th>retrieved text</th></tr>{chunks}</table>"
    )


def error(reason: str) -> str:
    return f"<div class='error'>{_inline(reason)}</div>"


def hint(said: str) -> str:
    return f"<div class='hint'>{_inline(said)}</div>"


def summary(ingested: dict[str, Any]) -> str:
    """What became of uploaded files: counts, then each that could not be read, with its reason."""
    counts = [f"{ingested[kind]} {kind}" for kind in ("added", "updated", "unchanged")]
    html = hint(", ".join(count for count in counts if not count.startswith("0 ")) or "Nothing new")
    for kind in ("failed", "skipped"):
        html += "".join(error(f"{item['path']}: {item['reason']}") for item in ingested[kind])
    return html


def view_link(item: dict[str, Any], collection: str) -> str:
    """The address of a document with this passage marked."""
    query = {"collection": collection, **{key: item[key] for key in ("source", "start", "end")}}
    return f"/v1/documents/view?{urlencode(query)}#quote"


def _source(citation: dict[str, Any], collection: str) -> str:
    return (
        f"<li value='{citation['n']}'>{_link(citation, collection)}"
        f"<blockquote>{_inline(_shorten(citation['quote'], 400))}</blockquote></li>"
    )


def _passage(passage: dict[str, Any], collection: str) -> str:
    quote = _inline(_shorten(passage["text"], 200))
    return f"<li>{_link(passage, collection)}<blockquote>{quote}</blockquote></li>"


def _link(item: dict[str, Any], collection: str) -> str:
    href = escape(view_link(item, collection))
    return f"<a href='{href}' target='_blank' rel='noopener'>{_escape(place(item))}</a>"


def _pairs(values: dict[str, Any], unit: str = "") -> str:
    return ", ".join(
        f"{name} {value:.2f}{unit}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length].rsplit(" ", 1)[0] + " …"


def _inline(text: str) -> str:
    return re.sub(r"\n+", "<br>", _escape(text))


def _escape(text: str) -> str:
    # Backslash, `$` and friends mean something to the page's Markdown and LaTeX even inside HTML.
    return re.sub(r"[\\`*_{}\[\]$~|]", lambda match: f"&#{ord(match[0])};", escape(text))
