"""The report as one HTML file, with its figures and styles inside and without JavaScript."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from importlib import resources
from typing import Any

from research_repro.paper import Figure, Paper, Results, Verdict
from research_repro.report import words
from research_repro.report.dots import dot_plot
from research_repro.results import Comparison, Outcome, compare
from seedbed.errors import public_message

log = logging.getLogger(__name__)
_CLASSES = {True: "yes", False: "no", None: "open"}
_TITLES = {
    "cpu": "Processor",
    "data hash": "SHA-256 of the data",
    "memory": "Memory",
    "python": "Python",
}


def report_html(
    paper: Paper,
    outcome: Outcome,
    published: Outcome | None = None,
    *,
    live: str | None = None,
) -> str:
    """The report of a run, beside the published run if there is one.

    `live` is HTML at the top of the page, such as the progress of a run.
    """
    comparisons = compare(outcome, published) if published and published is not outcome else []
    body = [
        live or "",
        _header(paper, outcome),
        _summary(outcome, _difference(comparisons, published)),
        _claims(paper, outcome, comparisons),
        _figures(paper, outcome),
        _deviations(paper, outcome),
        _rerun(paper, outcome),
        _provenance(paper, outcome),
    ]
    return document(f"{paper.title} · {outcome.scale}", "".join(body))


def document(title: str, body: str) -> str:
    """A whole page with the styles of the report. `body` is HTML, `title` is text."""
    styles = resources.files(__package__).joinpath("report.css").read_text("utf-8")
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<meta name='color-scheme' content='light dark'>"
        f"<title>{escape(title)}</title><style>{styles}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def machine(outcome: Outcome) -> str:
    """The processor and the number of cores of a run, as far as they are recorded."""
    cores = outcome.about.get("cores")
    parts = [outcome.about.get("cpu"), cores and f"{cores} core{'s' * (cores != 1)}"]
    return ", ".join(str(part) for part in parts if part)


def date(outcome: Outcome) -> str:
    """The day and time at which a run ended, as far as it is recorded."""
    try:
        return datetime.fromisoformat(str(outcome.about.get("ended"))).strftime("%-d %B %Y, %H:%M")
    except ValueError:
        return ""


def _header(paper: Paper, outcome: Outcome) -> str:
    return (
        f"<header><p class='kicker'>Reproduction at {escape(outcome.scale)} scale</p>"
        f"<h1>{escape(paper.title)}</h1>"
        f"<p class='authors'>{escape(paper.authors)} ({paper.year}).&ensp;"
        f"<a href='{escape(paper.url)}'>{escape(paper.url.split('://')[-1])}</a></p>"
        f"<p class='abstract'>{escape(paper.summary)}</p></header>"
    )


def _summary(outcome: Outcome, difference: str) -> str:
    if not outcome.cells:
        return "<section class='summary'><p class='headline'>Not run yet.</p></section>"
    seeds = ", ".join(map(str, outcome.seeds))
    facts = {
        "Seeds": seeds,
        "Time": words.duration(outcome.seconds),
        "Machine": machine(outcome),
        "Finished": date(outcome),
    }
    items = (f"<div><dt>{k}</dt><dd>{escape(v)}</dd></div>" for k, v in facts.items() if v)
    return (
        "<section class='summary'>"
        f"<p class='headline'>{escape(words.headline(outcome.verdicts, outcome.scale))}</p>"
        f"<p>{escape(' '.join([*words.exceptions(outcome.verdicts), difference]))}</p>"
        f"<dl class='facts'>{''.join(items)}</dl></section>"
    )


def _difference(comparisons: Sequence[Comparison], published: Outcome | None) -> str:
    """How the verdicts differ from those of the published run, in one sentence."""
    if published is None or not comparisons:
        return ""
    count = sum(item.agrees is False for item in comparisons)
    where = " on ".join(filter(None, [f"the published run of {date(published)}", machine(published)]))
    if not count:
        return f"No verdict differs from {where}."
    return f"{count} verdict{'s' * (count > 1)} differ{'s' * (count == 1)} from {where}."


def _claims(paper: Paper, outcome: Outcome, comparisons: Sequence[Comparison]) -> str:
    there = {item.id: item for item in comparisons}
    tolerances = {claim.id: claim.tolerance for claim in paper.claims}
    headers = ["Verdict", "Claim", "The paper reports", "Measured here", "Tolerance"]
    headers += ["Published run"] * bool(comparisons)
    rows = []
    for verdict in outcome.verdicts:
        band = tolerances.get(verdict.id)
        cells = [
            _verdict(verdict),
            _statement(verdict),
            escape(verdict.expected),
            _measurement(verdict, dot_plot(verdict, band) if band else ""),
            escape(words.tolerance(verdict)),
        ]
        if comparisons:
            cells.append(_comparison(there.get(verdict.id), verdict.unit))
        rows.append(cells)
    return _section(
        "Claims",
        "<p class='hint'>A claim holds if the mean over the seeds lies within a tolerance that was"
        " fixed before the run. In each plot a dot is one seed, the tall mark the mean, the line"
        " its 95 % confidence interval, and the shaded area the tolerance.</p>"
        + _table(headers, rows, "claims"),
    )


def _verdict(verdict: Verdict) -> str:
    symbol, word = words.LABELS[verdict.holds].split(" ", 1)
    minor = verdict.holds is False and not verdict.expected_to_hold
    kind = "minor" if minor else _CLASSES[verdict.holds]
    label = f"<span class='verdict {kind}'><b>{symbol}</b> {word}</span>"
    if not verdict.expected_to_hold:
        label += "<span class='hint'>not expected at this scale</span>"
    return label


def _statement(verdict: Verdict) -> str:
    note = f"<p class='hint'>{escape(verdict.note)}</p>" if verdict.note else ""
    return f"<p class='place'>{escape(verdict.source)}</p><p>{escape(verdict.statement)}</p>{note}"


def _measurement(verdict: Verdict, plot: str) -> str:
    interval = words.interval(verdict)
    range_ = f"<span class='hint'>95 %: {escape(interval)}</span>" if interval else ""
    return f"<strong>{escape(words.measured(verdict))}</strong> {range_}{plot}"


def _comparison(item: Comparison | None, unit: str) -> str:
    if item is None or item.there is None:
        return "–"
    agrees = {True: "same verdict", False: "<b>verdict differs</b>", None: ""}[item.agrees]
    value = words.quantity(words.number(item.there), unit)
    return f"{escape(value)} <span class='hint'>{agrees}</span>"


def _figures(paper: Paper, outcome: Outcome) -> str:
    cells = outcome.cells.values()
    results = Results({(cell["name"], cell["seed"]): cell["result"] for cell in cells})
    figures = [_figure(figure, results) for figure in paper.figures] if outcome.cells else []
    return _section("Figures", "".join(figures)) if figures else ""


def _figure(figure: Figure, results: Results) -> str:
    from seedbed.observe.figures import to_svg

    try:
        drawing = figure.draw(results)
    except Exception as error:  # the paper's own code; the rest of the report does not need it
        body = f"<p class='missing'>Not drawn: {escape(public_message(error, log))}</p>"
    else:
        if drawing is None:
            body = "<p class='missing'>Not drawn: the cells that it needs did not finish.</p>"
        else:
            # As an image, so that ids and styles of several drawings do not collide.
            data = base64.b64encode(to_svg(drawing).encode()).decode()
            alt = escape(figure.title)
            body = f"<img src='data:image/svg+xml;base64,{data}' alt='{alt}'>"
    caption = f"<b>{escape(figure.source)}, redrawn.</b> {escape(figure.title)}"
    return f"<figure>{body}<figcaption>{caption}</figcaption></figure>"


def _deviations(paper: Paper, outcome: Outcome) -> str:
    rows = [
        [escape(item.paper), escape(item.here), escape(item.reason)]
        for item in paper.deviations
        if outcome.scale in item.scales
    ]
    table = _table(["In the paper", "Here", "Reason"], rows, "plain")
    return _section("Deviations from the paper", table) if rows else ""


def _rerun(paper: Paper, outcome: Outcome) -> str:
    run = f"research-repro run {paper.name} --scale {outcome.scale}"
    seeds = ",".join(map(str, outcome.seeds))
    if outcome.seeds and tuple(outcome.seeds) != tuple(paper.seeds.get(outcome.scale, ())):
        run += f" --seeds {seeds}"
    commands = f"{run}\nresearch-repro verify {paper.name} --scale {outcome.scale}"
    return _section(
        "Run it again",
        f"<pre>{escape(commands)}</pre><p class='hint'>The second command recomputes the claims"
        " from the stored results and reports any difference.</p>",
    )


def _provenance(paper: Paper, outcome: Outcome) -> str:
    if not outcome.cells:
        return ""
    about = {"seeds": ", ".join(map(str, outcome.seeds)), **outcome.about}
    items = "".join(
        f"<dt>{escape(_TITLES.get(key, key[:1].upper() + key[1:]))}</dt>"
        f"<dd>{escape(_value(key, value))}</dd>"
        for key, value in about.items()
        if value not in (None, "", {})
    )
    rows = [
        [escape(cell["name"]), str(cell["seed"]), escape(words.duration(cell["seconds"]))]
        for cell in outcome.cells.values()
    ]
    planned = [cell.id for cell in paper.cells(outcome.scale, outcome.seeds)]
    missing = [name for name in planned if name not in outcome.cells]
    note = f"<p class='missing'>Not finished: {escape(', '.join(missing))}.</p>" if missing else ""
    table = _table(["Cell", "Seed", "Time"], rows, "plain")
    return _section(
        "Provenance",
        f"<dl class='provenance'>{items}</dl>{note}<details><summary>{len(rows)} of"
        f" {max(len(planned), len(rows))} cells finished</summary>{table}</details>",
    )


def _value(key: str, value: Any) -> str:
    if key == "memory" and isinstance(value, int):
        return f"{value / 1e9:.1f} GB"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return str(value)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _table(headers: Iterable[str], rows: Iterable[Iterable[str]], kind: str) -> str:
    """A table whose rows become cards on a narrow screen, with the headers as labels."""
    headers = list(headers)
    head = "".join(f"<th scope='col'>{header}</th>" for header in headers)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td data-label='{header}'><div>{cell}</div></td>"
            for header, cell in zip(headers, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f"<table class='{kind}'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
