"""The reports as a folder of static files, and a server for it.

    write_site(config)                       # var/research_repro/site/index.html
    service.serve(create_app(config), port=8006)     # what `research-repro serve` runs

The files can be copied to any web server.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from research_repro.config import Config
from research_repro.paper import SCALES, Paper, Scale
from research_repro.papers import load_papers
from research_repro.report.html import index_html, report_html
from research_repro.results import Outcome, load_outcome, published, results_path
from seedbed.errors import BadInput, NotFound
from seedbed.files import write_text
from seedbed.server import service
from seedbed.server.service import Caller
from seedbed.settings import Settings

Row = tuple[str, Outcome, bool]
"""The report's file, its outcome, and whether it was run here."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"


def write_site(config: Config) -> None:
    """Write the list of papers, and a report for each scale with own or published results."""
    rows, _ = _load(config)
    write_index(config)
    for paper, scales in rows:
        for scale in scales:
            file, outcome, _own = scales[scale]
            links: dict[str, str] = {"All papers": "index.html"}
            links.update((name, row[0]) for name, row in scales.items())
            html = report_html(paper, outcome, published(paper, scale), links)
            write_text(config.data_dir / "site" / file, html)


def write_index(config: Config, running: str = "") -> None:
    """Write the list of papers; `running` is a line about a run in progress."""
    folder = config.data_dir / "site"
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "index.html", index_html(*_load(config), running))


def _load(config: Config) -> tuple[list[tuple[Paper, Mapping[Scale, Row]]], list[str]]:
    """The papers with their results by scale, and a line for each that cannot be read."""
    papers, problems = load_papers(config.papers_dir)
    rows: list[tuple[Paper, Mapping[Scale, Row]]] = []
    for paper in papers:
        scales: dict[Scale, Row] = {}
        for scale in reversed(SCALES):
            own = results_path(config.data_dir, paper.name, scale).exists()
            try:
                outcome = load_outcome(config.data_dir, paper, scale)
                scales[scale] = f"{paper.name}-{scale}.html", outcome, own
            except NotFound:
                pass
            except BadInput as error:  # a damaged file; the other reports do not need it
                problems.append(str(error))
        rows.append((paper, scales))
    return rows, problems


def create_app(
    config: Config,
    work: Callable[[], None] | None = None,
    *,
    settings: Settings | None = None,
) -> FastAPI:
    """An app that serves the site's files; `work` runs in a thread once it has started."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        if work:
            threading.Thread(target=work, daemon=True).start()
        yield

    app = service.create_app(
        "research_repro", version="0.1.0", settings=settings, max_body_mb=1, lifespan=lifespan
    )
    folder = config.data_dir / "site"

    @app.get("/", include_in_schema=False)
    @app.get("/{name}.html", include_in_schema=False)
    def page(_: Caller, name: str = "index") -> HTMLResponse:
        names = {path.stem: path for path in folder.glob("*.html")}
        if name not in names:
            raise NotFound(f"There is no page {name!r}.", hint="Available: /index.html")
        # Read whole: a run may replace the file between its length and its content.
        html = names[name].read_bytes()
        return HTMLResponse(html, headers={"content-security-policy": _POLICY})

    return app
