"""Small pieces of HTML for the page, in which nothing that a file or a model wrote is live."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any


def safe(value: Any) -> str:
    """Text for HTML; braces, `$` and backquotes too, as the page's templates read those."""
    shown = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", str(value))
    return re.sub(r"[`{}$]", lambda found: f"&#{ord(found[0])};", escape(shown))


def error(reason: str) -> str:
    return f"<div class='error' role='alert'>{safe(reason)}</div>"


def hint(said: str) -> str:
    return f"<div class='hint'>{safe(said)}</div>"


def command(typed: str) -> str:
    """Something to type; its lines break between words, and not after the dashes of an option."""
    words = " ".join(f"<span>{safe(word)}</span>" for word in typed.split(" "))
    return f"<pre class='command'>{words}</pre>"


def badge(text: str, kind: str) -> str:
    return f"<span class='badge {kind}'>{safe(text)}</span>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """A table of cells that are HTML already; it scrolls sideways where it is too wide."""
    head = "".join(f"<th scope='col'>{h}</th>" for h in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f"<div class='scroll'><table class='{kind}'><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def facts(found: Mapping[str, Any]) -> str:
    """Names and values below each other; what is None or empty is left out."""
    rows = "".join(
        f"<dt>{safe(name)}</dt><dd>{safe(value)}</dd>"
        for name, value in found.items()
        if value not in (None, "", [], {})
    )
    return f"<dl class='facts'>{rows}</dl>"


def section(title: str, body: str) -> str:
    return f"<section><h3>{safe(title)}</h3>{body}</section>" if body else ""


def number(value: Any, form: str = ".3f") -> str:
    """A figure, or a dash for none."""
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return format(value, form) if known else "–"


def percent(value: Any) -> str:
    return number(value * 100 if isinstance(value, (int, float)) else None, ".1f") + (
        "&#8239;%" if isinstance(value, (int, float)) else ""
    )


def share_bar(value: float, low: float | None = None, high: float | None = None) -> str:
    """A share as a bar, with its interval as a line over it."""
    span = ""
    if low is not None and high is not None:
        span = f"<i style='left:{low * 100:.1f}%;width:{max(0.0, high - low) * 100:.1f}%'></i>"
    return f"<span class='bar'><b style='width:{value * 100:.1f}%'></b>{span}</span>"
