"""Small pieces of HTML for a project's page, with all text escaped.

    html.error("No run 'a'.")            <div class='error' role='alert'>No run &#x27;a&#x27;.</div>
    html.table(("run", "state"), [(html.escape(name), html.escape(state))])

Their styles are part of `ui.CSS`; a project adds its own as `page.css` in its package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape as _escape
from importlib import resources
from typing import Any


def escape(value: Any) -> str:
    """Escape text for an HTML element or a quoted attribute on a Gradio page.

    Markdown, LaTeX and template characters are escaped too: Gradio interprets the first two in chat
    messages, even inside HTML, and braces and `$` in `gr.HTML`. Control characters become spaces.

    >>> escape("<b>5 * 3</b>")
    '&lt;b&gt;5 &#42; 3&lt;/b&gt;'
    """
    text = re.sub(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f]", " ", str(value))
    return re.sub(r"[\\`*_{}\[\]$~|]", lambda match: f"&#{ord(match[0])};", _escape(text))


def multiline(value: Any) -> str:
    """Escape text and keep its line breaks, as `<br>`."""
    return re.sub(r"\n+", "<br>", escape(value))


def error(reason: str) -> str:
    """An error message, which screen readers announce."""
    return f"<div class='error' role='alert'>{multiline(reason)}</div>"


def hint(text: str) -> str:
    """A remark in a muted color."""
    return f"<div class='hint'>{multiline(text)}</div>"


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table that scrolls sideways if it is too wide. Headers and cells are HTML, not text.

    `kind` is a CSS class of the table.
    """
    head = "".join(f"<th scope='col'>{cell}</th>" for cell in headers)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<div class='scroll'><table class='{kind}'><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def styles(package: str) -> str:
    """The content of `page.css` in a package: `ui.mount(…, extra_css=styles("my_app"))`."""
    return resources.files(package).joinpath("page.css").read_text("utf-8")
