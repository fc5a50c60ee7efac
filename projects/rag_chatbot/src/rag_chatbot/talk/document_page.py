"""A page that shows a document for reading, with a passage marked: the target of a citation.

    document_page(document, 12, 15, back="/")      # an HTTP response

Markdown is rendered, and so are the blocks of HTML, PDF and DOCX; other formats are shown as their
text. Documents are untrusted: everything is
escaped, links and images are shown as words, and the content security policy forbids the browser to
run, load or submit anything.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any

from fastapi.responses import HTMLResponse

from rag_chatbot.read.language import ASSEMBLED

if TYPE_CHECKING:
    from rag_chatbot.store.store import StoredDocument

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'none'"
)
STYLE = """
:root { color-scheme: light dark; --text: #292524; --back: #fafaf9; --mark: #fde68a; --on: #1c1917;
  --line: #d6d3d1; --box: #f0efee; --link: #047857 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e7e5e4; --back: #0c0a09; --mark: #854d0e; --on: #fef9c3; --line: #44403c;
    --box: #1c1917; --link: #34d399 }
}
body { font: 16px/1.6 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 46rem; margin: 0 auto; padding: 0 1rem 4rem; overflow-wrap: anywhere }
header { position: sticky; top: 0; padding: .6rem 0; background: var(--back);
  border-bottom: 1px solid var(--line); display: flex; flex-wrap: wrap; gap: .2rem 1.2rem }
header b { font-weight: 600 }
a { color: var(--link); text-underline-offset: 2px }
a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
h1 { font-size: 1.5rem } h2 { font-size: 1.25rem } h3, h4, h5, h6 { font-size: 1.05rem }
h1, h2, h3, h4, h5, h6 { line-height: 1.3; margin: 1.6em 0 .5em }
pre, code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .9em }
pre { white-space: pre; overflow-x: auto; overflow-wrap: normal; padding: .7rem .9rem; tab-size: 4;
  background: var(--box); border-radius: 6px }
blockquote { margin: 1em 0; padding-left: 1rem; border-left: 3px solid var(--line) }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left;
  overflow-wrap: normal }
.text { white-space: pre-wrap; tab-size: 4; margin-top: 1.2rem }
mark { background: var(--mark); color: var(--on); border-radius: 3px; scroll-margin: 30vh }
"""
CODE_TYPES = ("code", "csv", "json", "jsonl")  # shown in a fixed-width font
MARKDOWN_TYPES = ("markdown", "notebook")
RENDERED_CHARS = 100_000  # of Markdown; the parser's time grows with the square of hostile text

# Signs around the marked text while Markdown is rendered. Markdown counts them as punctuation, so
# they change no emphasis next to them.
_BEGIN, _END = "⸨", "⸩"
_NO_SIGNS = str.maketrans({_BEGIN: "(", _END: ")"})
# What must stay the first or the last thing in a line, or its block would change.
_PREFIX = re.compile(
    r"[ \t>]*(?:(?:[-*+•]|\(?\w{1,3}[.)])[ \t]+|#{1,6}[ \t]+|\|[ \t]*|(?:`{3,}|~{3,})[^\n]*\n)?"
)
_SUFFIX = re.compile(r"(?:\n[ \t>]*(?:`{3,}|~{3,})|[ \t]*\|)[ \t]*\Z")
_FRONT_MATTER = re.compile(r"---[ \t]*\n(?:.*\n)*?(?:---|\.\.\.)[ \t]*\n")


def document_page(document: StoredDocument, start: int, end: int, back: str) -> HTMLResponse:
    """The page of a document. `start` and `end` are character offsets, clipped to its text.

    `back` is the address of the page's link back.
    """
    text = document.text
    start, end = sorted((min(max(start, 0), len(text)), min(max(end, 0), len(text))))
    body = None
    if document.type in (*MARKDOWN_TYPES, *ASSEMBLED) and len(text) <= RENDERED_CHARS:
        body = _rendered(text, start, end, _markdown(inline=document.type in MARKDOWN_TYPES))
    if body is None:
        tag = "pre" if document.type in CODE_TYPES else "div class='text'"
        mark = _mark(escape(text[start:end]), first=True) if start < end else ""
        body = f"<{tag}>{escape(text[:start])}{mark}{escape(text[end:])}</{tag.split()[0]}>"
    jump = "<a href='#quote'>Go to the quote</a>" if "id='quote'" in body else ""
    return _page(document.source, f"<main>{body}</main>", back, jump)


def missing_page(source: str, back: str) -> HTMLResponse:
    """The page in place of a document that was deleted or that the caller may not read."""
    text = "This document is not available. It was deleted or renamed, or you may not read it."
    return _page(source, f"<main><p>{text}</p></main>", back, status=404)


def _page(source: str, body: str, back: str, jump: str = "", status: int = 200) -> HTMLResponse:
    html = (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(source)}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style><header>"
        f"<a href='{escape(back)}'>← Back to the chat</a>{jump}<b>{escape(source)}</b></header>"
        f"{body}</html>"
    )
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(html, status, headers=headers)


def _rendered(text: str, start: int, end: int, markdown: Any) -> str | None:
    """Markdown as HTML with a passage marked; None if Markdown does not show all of the passage."""
    text = text.translate(_NO_SIGNS)
    marked = start < end
    if marked:
        # 1. Move both ends off the markup of their lines, and put the signs there.
        if not text[text.rfind("\n", 0, start) + 1 : start].strip(" \t>"):
            prefix = _PREFIX.match(text, start, end)
            start = prefix.end() if prefix else start
        suffix = _SUFFIX.search(text, start, end)
        end = suffix.start() if suffix else end
        text = f"{text[:start]}{_BEGIN}{text[start:end]}{_END}{text[end:]}"
    # 2. Render, without the metadata at the top.
    front = _FRONT_MATTER.match(text)
    html: str = markdown.render(text[front.end() :] if front else text)
    # 3. Mark each piece of text between the signs.
    if marked:
        if not (html.count(_BEGIN) == html.count(_END) == 1):
            return None
        before, rest = html.split(_BEGIN)
        inside, after = rest.split(_END)
        html = before + _mark_texts(inside) + after
    return html


def _mark_texts(html: str) -> str:
    """HTML with a `mark` around every text in it that is not just white space."""
    parts = re.split(r"(<[^>]*>)", html)
    texts = [n for n in range(0, len(parts), 2) if parts[n].strip()]
    for n in texts:
        parts[n] = _mark(parts[n], first=n == texts[0])
    return "".join(parts)


def _mark(html: str, *, first: bool) -> str:
    return f"<mark id='quote'>{html}</mark>" if first else f"<mark>{html}</mark>"


def _markdown(*, inline: bool) -> Any:
    """A Markdown renderer that escapes HTML and shows links and images as their words.

    Without `inline` it leaves the signs inside a paragraph alone: there they are text.
    """
    from markdown_it import MarkdownIt

    if not inline:
        return MarkdownIt("zero", {"breaks": True}).enable(["fence", "table", "list", "newline"])
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    for rule in ("link_open", "link_close"):
        markdown.add_render_rule(rule, lambda *_: "")
    markdown.add_render_rule("image", lambda _, tokens, at, *__: escape(tokens[at].content))
    return markdown
