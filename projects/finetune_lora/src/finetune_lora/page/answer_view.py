"""A question's answers before and after training, side by side, as HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from finetune_lora.page.markup import command, percent, share_bar
from finetune_lora.page.playground import SIDES
from finetune_lora.page.runs_view import short_base
from seedbed.server.html import badge, escape

TITLES = {"before": "Base model", "after": "With adapter"}
_MOST_LABELS = 10
_LOADING = "Loading the model … the first request to a run takes a few seconds."


def answers(found: Mapping[str, Mapping[str, Any]], *, waiting: str = "") -> str:
    """Both sides; one without an answer shows `waiting`."""
    sides = "".join(_side(side, found.get(side), waiting) for side in SIDES)
    return f"<div class='sides'>{sides}</div>"


def loading() -> str:
    return answers({}, waiting=_LOADING)


def examples(run: Mapping[str, Any], texts: Sequence[str]) -> str:
    """Whose model answers, with requests that can be clicked."""
    buttons = "".join(
        f"<button type='button' data-text='{escape(text)}'>{escape(text)}</button>"
        for text in texts
    )
    shown = f"<div class='examples'>{buttons}</div>" if buttons else ""
    about = f"Compares {short_base(run.get('base'))} with and without the adapter of {run['name']}."
    return f"<p class='hint'>{escape(about)}</p>{shown}"


def no_adapter(run: Mapping[str, Any]) -> str:
    """Why nobody can be asked yet."""
    if run.get("state") == "running":
        return "<p class='hint'>No adapter yet: it is written at the end of the training.</p>"
    said = f"<p class='hint'>No adapter: the run is {escape(run.get('state'))}.</p>"
    return said + (command(str(run["resume"])) if run.get("args") else "")


def _side(side: str, answer: Mapping[str, Any] | None, waiting: str) -> str:
    if answer is None:
        took, body = "", f"<p class='hint waiting' role='status'>{escape(waiting)}</p>"
    else:
        took, body = f"<span class='hint'>{_took(answer['seconds'])}</span>", _body(answer)
    head = f"<header><h3>{TITLES[side]}</h3>{took}</header>"
    return f"<section class='side {side}'>{head}{body}</section>"


def _took(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _body(answer: Mapping[str, Any]) -> str:
    if answer["scores"]:
        return _labels(answer["scores"])
    text = escape(answer["text"])
    if not text:
        return _verdict(answer["problems"]) + "<p class='hint'>The answer is empty.</p>"
    if answer["call"] is None:
        return _verdict(answer["problems"]) + f"<pre class='said'>{text}</pre>"
    raw = f"<details><summary>Raw answer</summary><pre class='said'>{text}</pre></details>"
    return _verdict(answer["problems"]) + _call(answer["call"]) + raw


def _verdict(problems: list[str] | None) -> str:
    if problems is None:
        return ""
    if not problems:
        return badge("valid call", "finished")
    return badge("not a valid call", "failed") + f"<p class='hint'>{escape(problems[0])}</p>"


def _call(call: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{escape(name)}</th><td>{escape(_value(value))}</td></tr>"
        for name, value in call["arguments"].items()
    )
    none = "" if rows else "<tr><td colspan='2' class='hint'>no arguments</td></tr>"
    return f"<table class='call'><caption>{escape(call['name'])}</caption>{rows}{none}</table>"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _labels(scores: Mapping[str, float]) -> str:
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    rows = "".join(
        f"<tr><th scope='row'>{escape(label)}</th><td>{share_bar(score)}</td>"
        f"<td>{percent(score)}</td></tr>"
        for label, score in ranked[:_MOST_LABELS]
    )
    more = len(ranked) - _MOST_LABELS
    rest = f"<p class='hint'>and {more} less likely labels</p>" if more > 0 else ""
    return f"<table class='labels'>{rows}</table>{rest}"
