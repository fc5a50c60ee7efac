"""Small pieces of HTML for the page, in which nothing that a file or a model wrote is live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedbed.server.html import escape


def command(typed: str) -> str:
    """Something to type; its lines break between words, and not after the dashes of an option."""
    words = " ".join(f"<span>{escape(word)}</span>" for word in typed.split(" "))
    return f"<pre class='command'>{words}</pre>"


def facts(found: Mapping[str, Any]) -> str:
    """Names and values below each other; what is None or empty is left out."""
    rows = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
        for name, value in found.items()
        if value not in (None, "", [], {})
    )
    return f"<dl class='facts'>{rows}</dl>"


def section(title: str, body: str) -> str:
    return f"<section><h3>{escape(title)}</h3>{body}</section>" if body else ""


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
