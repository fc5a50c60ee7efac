"""The results that the pages show, and their HTML, which is in `pages.jinja`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader

from research_repro import results
from research_repro.config import Config
from research_repro.paper import Paper, Scale
from research_repro.report import words
from research_repro.report.html import date, machine
from research_repro.results import Outcome
from seedbed.errors import BadInput, NotFound

_templates = Environment(
    loader=PackageLoader("research_repro", "serve"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals |= {"words": words, "date": date, "machine": machine}


def render(macro: str, *values: Any) -> str:
    """The HTML of one macro of `pages.jinja`; text in the values is escaped."""
    return str(getattr(_templates.get_template("pages.jinja").module, macro)(*values))


@dataclass(frozen=True)
class Stored:
    """The results of a paper at one scale."""

    own: Outcome | None
    published: Outcome | None
    problem: str = ""
    """Why the own ones cannot be read: damaged, or of another version."""

    @property
    def shown(self) -> Outcome | None:
        """The own results, or else the published ones."""
        return self.own or self.published


def load_stored(config: Config, paper: Paper, scale: Scale) -> Stored:
    """The results in the data folder, and those in the package."""
    published = results.published(paper.name, scale)
    try:
        path = config.data_dir / "results" / f"{paper.name}-{scale}.json"
        return Stored(results.read_outcome(path, paper), published)
    except NotFound:
        return Stored(None, published)
    except BadInput as error:
        return Stored(None, published, str(error))
