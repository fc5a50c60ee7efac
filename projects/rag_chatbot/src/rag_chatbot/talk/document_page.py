"""A page that shows the text of a document, with a passage marked: the target of a citation.

Documents are untrusted. Their text is escaped, and the content security policy forbids the browser
to run, load or submit anything.
"""

from __future__ import annotations

from html import escape

from fastapi.responses import HTMLResponse

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'none'"
)
STYLE = """
:root { color-scheme: light dark; --text: #292524; --back: #fafaf9; --mark: #fde68a; --on: #1c1917 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e7e5e4; --back: #0c0a09; --mark: #854d0e; --on: #fef9c3 }
}
body { font: 16px/1.6 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.1rem; overflow-wrap: anywhere }
pre { font: inherit; white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4 }
mark { background: var(--mark); color: var(--on); border-radius: 3px; padding: 1px 2px;
  scroll-margin: 30vh }
"""


def document_page(source: str, text: str, start: int, end: int) -> HTMLResponse:
    """The page as an HTTP response. `start` and `end` are character offsets, clipped to `text`.

    document_page("port.md", "It opens at six.", 12, 15)    # marks "six"
    """
    start, end = sorted((min(max(start, 0), len(text)), min(max(end, 0), len(text))))
    mark = f'<mark id="quote">{escape(text[start:end])}</mark>' if start < end else ""
    body = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(source)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>{escape(source)}</h1>"
        f"<pre>{escape(text[:start])}{mark}{escape(text[end:])}</pre></html>"
    )
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(body, headers=headers)
