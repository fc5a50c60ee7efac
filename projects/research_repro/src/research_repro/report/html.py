"""The report as one HTML file, with its figures and styles inside and without JavaScript.

The HTML is in `report.jinja`; templates escape everything that is not `Markup`.
"""

from __future__ import annotations

import base64
import logging
from datetime import datetime
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from research_repro.paper import Figure, Paper, Results
from research_repro.report import words
from research_repro.report.dots import dot_plot
from research_repro.results import Outcome, compare
from seedbed.errors import public_message


def report_html(
    paper: Paper, outcome: Outcome, published: Outcome | None = None, *, live: str = ""
) -> str:
    """The report of a run, beside the published run if there is another one.

    `live` is HTML for the top of the page, such as the progress of a run.
    """
    other = published if published != outcome and outcome.cells else None
    compared = compare(outcome, other) if other else []
    tolerances = {claim.id: claim.tolerance for claim in paper.claims}
    return (
        templates("report")
        .get_template("report.jinja")
        .render(
            title=f"{paper.title} · {outcome.scale}",
            styles=_styles(),
            live=Markup(live),
            paper=paper,
            outcome=outcome,
            published=other,
            compared={item.id: item for item in compared},
            apart=[item.id for item in compared if item.shift and abs(item.shift) > 1],
            plots={
                v.id: dot_plot(v, tolerances[v.id]) for v in outcome.verdicts if v.id in tolerances
            },
            figures=[_draw(figure, outcome.results) for figure in paper.figures if outcome.cells],
            deviations=[item for item in paper.deviations if outcome.scale in item.scales],
            command=_command(paper, outcome),
        )
    )


def document(title: str, body: str) -> str:
    """A whole page with the styles of the report. `body` is HTML, `title` is text."""
    page = templates("report").get_template("page.jinja")
    return page.render(title=title, body=Markup(body), styles=_styles())


@cache
def templates(folder: str) -> Environment:
    """The templates in a folder of the package, with functions that put results into words."""
    loader = PackageLoader("research_repro", folder)
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals |= {"words": words, "date": date, "machine": machine}
    return environment


def machine(outcome: Outcome) -> str:
    """The processor and the number of cores of a run, as far as they are recorded."""
    cpu, cores = outcome.about.get("cpu"), outcome.about.get("cores")
    return ", ".join(filter(None, [cpu, cores and f"{cores} core{'s' * (cores != 1)}"]))


def date(outcome: Outcome) -> str:
    """The day and time at which a run ended, as far as it is recorded."""
    try:
        ended = datetime.fromisoformat(outcome.about.get("ended", ""))
    except ValueError:
        return ""
    return f"{ended.day} {ended:%B %Y, %H:%M}"


def _styles() -> Markup:
    return Markup(resources.files(__package__).joinpath("report.css").read_text("utf-8"))


def _draw(figure: Figure, results: Results) -> tuple[Figure, str, str]:
    """A figure with its SVG in base64, as text of an image, or with the reason why there is none.

    As an image, the ids and styles of several drawings on a page do not collide.
    """
    from seedbed.runs.figures import to_svg

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
