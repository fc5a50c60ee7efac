"""The results that the pages show, and their HTML, which is in `pages.jinja`."""

from __future__ import annotations

from typing import Any, NamedTuple

from research_repro import results
from research_repro.config import Config
from research_repro.paper import Paper, Results, Scale, judge
from research_repro.report.html import templates
from research_repro.results import Outcome
from seedbed.errors import BadInput, NotFound


def render(macro: str, *values: Any) -> str:
    """The HTML of one macro of `pages.jinja`; text in the values is escaped."""
    return str(getattr(templates("serve").get_template("pages.jinja").module, macro)(*values))


class Stored(NamedTuple):
    """The results of a paper at one scale, and why its own ones cannot be read."""

    own: Outcome | None
    published: Outcome | None
    problem: str = ""


def load_stored(config: Config, paper: Paper, scale: Scale) -> Stored:
    """The results in the data folder, and those in the package."""
    published = results.published(paper.name, scale)
    path = results.results_path(config.data_dir, paper.name, scale)
    try:
        return Stored(results.read_outcome(path, paper), published)
    except NotFound:
        return Stored(None, published)
    except BadInput as error:  # damaged, or of another version
        return Stored(None, published, str(error))


def empty_outcome(paper: Paper, scale: Scale) -> Outcome:
    """The outcome without results: no claim is measured."""
    verdicts = [judge(claim, Results({}), scale) for claim in paper.claims]
    return Outcome(paper.name, paper.version, scale, [], 0.0, {}, verdicts, {})
