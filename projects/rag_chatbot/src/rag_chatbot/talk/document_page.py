"""A page that shows a document for reading, with a passage marked: the target of a citation.

    document_page(document, 12, 15)      # an HTTP response

The page shows the text as it was read, including Markdown's markup, so that every quote can be
marked where it is. Documents are untrusted: everything is escaped, and the content security policy
keeps the browser from running, loading or submitting anything.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from fastapi.responses import HTMLResponse

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
  max-width: 54rem; margin: 0 auto; padding: 0 1rem 4rem; overflow-wrap: anywhere }
header { position: sticky; top: 0; padding: .6rem 0; background: var(--back);
  border-bottom: 1px solid var(--line); display: flex; flex-wrap: wrap; gap: .2rem 1.2rem }
header b { font-weight: 600 }
a { color: var(--link); text-underline-offset: 2px }
a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
pre { font: .9em/1.6 ui-monospace, Menlo, Consolas, monospace; white-space: pre; overflow-x: auto;
  overflow-wrap: normal; tab-size: 4 }
.text { white-space: pre-wrap; tab-size: 4; margin-top: 1.2rem }
mark { background: var(--mark); color: var(--on); border-radius: 3px; scroll-margin: 30vh }
"""
CODE_TYPES = ("code", "csv", "spreadsheet", "json", "jsonl")  # shown in a fixed-width font


def document_page(document: StoredDocument, start: int, end: int) -> HTMLResponse:
    """The page of a document. `start` and `end` are character offsets, clipped to its text."""
    text = document.text
    start, end = sorted((min(max(start, 0), len(text)), min(max(end, 0), len(text))))
    tag = "pre" if document.type in CODE_TYPES else "div class='text'"
    mark = f"<mark id='quote'>{escape(text[start:end])}</mark>" if start < end else ""
    body = f"<{tag}>{escape(text[:start])}{mark}{escape(text[end:])}</{tag.split()[0]}>"
    jump = "<a href='#quote'>Go to the quote</a>" if mark else ""
    source = escape(document.source)
    html = (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{source}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{STYLE}</style>"
        f"<header>{jump}<b>{source}</b></header><main>{body}</main></html>"
    )
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(html, headers=headers)
