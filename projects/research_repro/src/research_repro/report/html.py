"""The report as one HTML file, with its figures and styles inside and without JavaScript.

The HTML is in `report.jinja`; templates escape everything that is not `Markup`.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from research_repro.paper import Figure, Paper, Results, Scale
from research_repro.report import numbers
from research_repro.results import Outcome
from seedbed.errors import public_message

IndexRow = tuple[Paper, Mapping[Scale, tuple[str, Outcome, bool]]]
"""A paper, and for each scale the report's file, its outcome, and whether it was run here."""


def report_html(paper: Paper, outcome: Outcome, links: Mapping[str, str] | None = None) -> str:
    """The report of a run; `links` are shown above it: texts and URLs."""
    return _render(
        "report.jinja",
        title=f"{paper.title} · {outcome.scale}",
        links=links or {},
        paper=paper,
        outcome=outcome,
        figures=[_draw(figure, outcome.results) for figure in paper.figures],
        deviations=[item for item in paper.deviations if outcome.scale in item.scales],
        command=_command(paper, outcome),
        environments=_environments(outcome),
    )


def index_html(rows: Sequence[IndexRow], problems: Sequence[str] = ()) -> str:
    """The list of the papers, and a line for each that could not be read."""
    return _render("index.jinja", title="Reproduced papers", rows=rows, problems=problems)


def _render(template: str, **values: Any) -> str:
    return str(_templates().get_template(template).render(**values))


@cache
def _templates() -> Environment:
    loader = PackageLoader("research_repro", "report")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    styles = Markup(resources.files(__package__).joinpath("report.css").read_text("utf-8"))
    environment.globals |= {"numbers": numbers, "date": date, "styles": styles}
    return environment


def date(time: str | None) -> str:
    """An ISO time as day and time, or "not recorded"."""
    if not time:
        return "not recorded"
    moment = datetime.fromisoformat(time)
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def _environments(outcome: Outcome) -> list[str]:
    """The different environments of the cells, one line each."""
    lines = dict.fromkeys(
        "; ".join(
            f"{key} {', '.join(map(' '.join, value.items())) if key == 'versions' else value}"
            for key, value in cell["origin"].get("environment", {}).items()
        )
        for cell in outcome.cells.values()
    )
    return [line or "not recorded" for line in lines]


def _draw(figure: Figure, results: Results) -> tuple[Figure, str, str]:
    """A figure with its SVG in base64, or with the reason why there is none.

    Embedded as images, the ids and styles of several drawings on a page do not collide.
    """
    from seedbed.runs.training import to_svg

    try:
        drawing = figure.draw(results)
    except Exception as error:  # the paper's own code; the rest of the report does not need it
        return figure, "", public_message(error, logging.getLogger(__name__))
    if drawing is None:
        return figure, "", "the cells that it needs did not finish."
    return figure, base64.b64encode(to_svg(drawing).encode()).decode(), ""


def _command(paper: Paper, outcome: Outcome) -> str:
    command = f"research-repro run {paper.name} --scale {outcome.scale}"
    if outcome.seeds and list(outcome.seeds) != list(paper.seeds[outcome.scale]):
        command += f" --seeds {','.join(map(str, outcome.seeds))}"
    return command
