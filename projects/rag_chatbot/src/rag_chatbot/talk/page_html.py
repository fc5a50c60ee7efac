"""The HTML of answers, sources, the list of documents and notes on the web page.

    page_html.answer(chatbot.ask(question, caller=LOCAL), "default")     # one block of HTML

Text of documents, models and users is untrusted. It is escaped and placed in an HTML block without
blank lines, so neither HTML nor Markdown in it (a tracking image, a script, a link) takes effect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from rag_chatbot.read import file_type
from rag_chatbot.read.language import plain
from rag_chatbot.talk.terminal import location, usage
from seedbed.server.html import error, escape, hint, multiline, table

if TYPE_CHECKING:
    from gradio.components.chatbot import MessageDict

WAITING = "<div class='hint'>Looking for an answer …</div>"
WELCOME = (
    "<div class='welcome'><h2>What would you like to know?</h2>"
    "<p>Answers come from the documents, with a link to each passage.</p></div>"
)
LISTED = 200  # documents in the list
_FENCE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)(?:^[ \t]*```[ \t]*$|\Z)", re.S | re.M)
_MARK = re.compile(r"&#91;(\d+)&#93;")  # [1], escaped


def message(html: str) -> MessageDict:
    """A chat message of the assistant."""
    return {"role": "assistant", "content": html}


def plain_text(text: str) -> str:
    """Text without any markup, as one block. Line breaks are kept."""
    return f"<div>{multiline(text)}</div>"


def text(answer: str, links: Mapping[int, str] | None = None) -> str:
    """The text of an answer with its code blocks. `[n]` becomes a link if `links` has one for n."""

    def linked(mark: re.Match[str]) -> str:
        href = (links or {}).get(int(mark[1]))
        return _link(href, mark[0], "cite") if href else mark[0]

    html = ""
    for number, part in enumerate(_FENCE.split(answer)):
        if number % 2:  # code between fences; a blank line in it would end the HTML block
            code = escape(part.strip("\n")).replace("\n", "&#10;")
            html += f"<pre><code>{code}</code></pre>"
        else:
            html += _MARK.sub(linked, multiline(part.strip()))
    return f"<div class='answer'>{html}</div>"


def answer(result: dict[str, Any], collection: str) -> str:
    """A complete answer: text, notices, sources with links, and details.

    Where a model wrote the text, the sources have their quotes too; otherwise they are the text.
    """
    links = {item["n"]: view_link(item, collection) for item in result["citations"]}
    html = text(result["answer"], links)
    html += "".join(f"<p class='hint'>{multiline(notice)}</p>" for notice in result["notices"])
    if result["citations"]:
        written = result["prompt_version"] != "quote"
        items = "".join(
            f"<li value='{item['n']}'>{_place(item, collection)}"
            f"{_blockquote(item, item['quote']) if written else ''}</li>"
            for item in result["citations"]
        )
        html += f"<ol class='sources'>{items}</ol>"
    elif result["abstained"] and result["passages"]:
        items = "".join(
            f"<li>{_place(item, collection)}{_blockquote(item, item['text'])}</li>"
            for item in result["passages"][:3]
        )
        html += f"<p class='hint'>The nearest passages:</p><ul class='sources'>{items}</ul>"
    return f"<div>{html}{_details(result, collection)}</div>"


def _details(result: dict[str, Any], collection: str) -> str:
    """How an answer was produced: the question searched for, chunks, timings and tokens."""
    facts = {
        "Searched for": result["question"],
        "Answered by": f"{result['model']}, prompt {result['prompt_version']}"
        if result["usage"]["input_tokens"] != 0
        else "quotes from the documents, without a language model",
        "Time": ", ".join(f"{name} {value:.2f} s" for name, value in result["timings"].items()),
        "Tokens": usage(result),
    }
    html = "".join(f"<p>{name}: {multiline(value)}</p>" for name, value in facts.items())
    rows = [
        (
            f"{item['score']:.3f}",
            f"{_place(item, collection)}<br>{_excerpt(item, item['text'], 240)}",
        )
        for item in result["passages"]
    ]
    html += table(("Score", "Retrieved passages"), rows)
    return f"<details class='how'><summary>How this was answered</summary>{html}</details>"


def summary(upload: dict[str, Any]) -> str:
    """The result of an upload: counts, then each file that could not be read, with the reason."""
    kinds = ("added", "updated", "unchanged")
    counts = ", ".join(f"{upload[kind]} {kind}" for kind in kinds if upload[kind])
    html = hint(f"{counts}." if counts else "Nothing was added.")
    for kind in ("failed", "skipped"):
        html += "".join(error(f"{item['path']}: {item['reason']}") for item in upload[kind])
    return html


def documents(items: Sequence[dict[str, Any]], collection: str) -> str:
    """The first documents of a collection, each with a link."""
    if not items:
        return hint("No documents yet.")
    rows = [
        (_place(item, collection), escape(item["type"]), escape(item["added"][:10]))
        for item in items[:LISTED]
    ]
    html = table(("Document", "Type", "Added"), rows)
    return html + hint(f"The first {LISTED} of {len(items):,}.") * (len(items) > LISTED)


def view_link(item: dict[str, Any], collection: str) -> str:
    """URL of the document's page, with the passage marked if `item` is one."""
    keys = ("source", "start", "end")
    query = {"collection": collection, **{key: item[key] for key in keys if key in item}}
    return f"/v1/documents/view?{urlencode(query)}{'#quote' if 'start' in item else ''}"


def _blockquote(item: dict[str, Any], passage: str) -> str:
    return f"<blockquote>{_excerpt(item, passage, 400)}</blockquote>"


def _excerpt(item: dict[str, Any], passage: str, length: int) -> str:
    """The beginning without markup; a line break inside a paragraph becomes a space."""
    text = plain(passage, file_type(PurePath(item["source"])) or "text")
    text = re.sub(r"(?<!\n)\n(?!\n)", " ", text)
    return multiline(text if len(text) <= length else text[:length].rsplit(" ", 1)[0] + " …")


def _place(item: dict[str, Any], collection: str) -> str:
    place = escape(location(item)).replace("\n", " ")
    return _link(view_link(item, collection), place, "place")


def _link(href: str, html: str, kind: str) -> str:
    return f"<a class='{kind}' href='{escape(href)}' target='_blank' rel='noopener'>{html}</a>"
