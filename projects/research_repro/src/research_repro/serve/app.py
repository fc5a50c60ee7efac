"""The server: the reports of all papers, and a run in the background.

app = create_app(config, settings, start=("lora", "laptop"))
service.serve(app, port=8006)               # what `research-repro serve` runs

curl http://127.0.0.1:8006/api/runs --json '{"paper": "ddim", "scale": "smoke"}'
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import resources
from typing import Annotated, Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from research_repro.config import Config
from research_repro.paper import Paper, Scale
from research_repro.papers import find_paper, paper_names
from research_repro.report.html import document, report_html
from research_repro.results import Outcome, outcome_json
from research_repro.serve.job import Job, Progress
from research_repro.serve.pages import Stored, empty_outcome, load_stored, render
from seedbed.errors import BadInput, NotFound, public_message
from seedbed.server import service
from seedbed.server.service import Caller, CleanText
from seedbed.settings import Settings

_POLICY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; connect-src 'self';"
    " style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'self'"
}
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class RunRequest(BaseModel):
    paper: CleanText = Field(examples=["lora"])
    scale: Scale = "smoke"
    seeds: list[Seed] | None = Field(None, description="Default: the paper's.")


def create_app(
    config: Config, settings: Settings | None = None, *, start: tuple[str, Scale] | None = None
) -> FastAPI:
    """The FastAPI app with pages and API.

    `start` names a paper and a scale that are run in the background unless they have results.
    Raises NotFound for an unknown paper.
    """
    job = Job(config)
    first = (find_paper(start[0], config.papers_dir), start[1]) if start else None

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        if first and load_stored(config, *first).own is None:
            job.start(*first)
        yield
        with suppress(NotFound):
            await run_in_threadpool(job.stop)

    app = service.create_app(
        "research_repro", version="0.1.0", settings=settings, max_body_mb=1, lifespan=life
    )
    _add_pages(app, config, job)
    _add_api(app, config, job)
    return app


def _add_pages(app: FastAPI, config: Config, job: Job) -> None:
    @app.get("/", include_in_schema=False)
    def index(_: Caller) -> HTMLResponse:
        papers, problems = _load_papers(config)
        rows = [(p, {scale: load_stored(config, p, scale) for scale in p.seeds}) for p in papers]
        html = document("Reproduced papers", render("index", rows, problems, job.progress))
        return HTMLResponse(html, headers=_POLICY)

    @app.get("/papers/{name}", include_in_schema=False)
    def report(name: str, _: Caller, scale: Scale = "laptop") -> HTMLResponse:
        paper = find_paper(name, config.papers_dir)
        stored = load_stored(config, paper, scale)
        above = render("above", paper, scale, stored, job.progress)
        outcome = stored.own or stored.published or empty_outcome(paper, scale)
        html = report_html(paper, outcome, stored.published, live=above)
        return HTMLResponse(html, headers=_POLICY)

    @app.get("/papers/{name}/report.html", include_in_schema=False)
    def download(name: str, _: Caller, scale: Scale = "laptop") -> HTMLResponse:
        stored, outcome = _find_results(config, name, scale)
        html = report_html(find_paper(name, config.papers_dir), outcome, stored.published)
        file = {"content-disposition": f"attachment; filename={name}-{scale}.html"}
        return HTMLResponse(html, headers=_POLICY | file)

    @app.get("/live.js", include_in_schema=False)
    def script(_: Caller) -> Response:
        text = resources.files(__package__).joinpath("live.js").read_text("utf-8")
        return Response(text, media_type="text/javascript")


def _add_api(app: FastAPI, config: Config, job: Job) -> None:
    @app.get("/api/papers")
    def list_papers(_: Caller) -> list[dict[str, Any]]:
        """The papers, with their scales and the number of their claims."""
        return [
            {"name": p.name, "title": p.title, "claims": len(p.claims), "scales": list(p.seeds)}
            for p in _load_papers(config)[0]
        ]

    @app.get("/api/papers/{name}/results")
    def get_results(name: str, _: Caller, scale: Scale = "laptop") -> dict[str, Any]:
        """The results of the last run here, or else the published ones (`published` is true)."""
        stored, outcome = _find_results(config, name, scale)
        return {"published": stored.own is None, **outcome_json(outcome)}

    @app.get("/api/runs")
    def get_run(_: Caller) -> Progress | None:
        """The progress of the last run; null if there was none."""
        return job.progress

    @app.post("/api/runs", status_code=202)
    def start_run(body: RunRequest, _: Caller) -> Progress:
        """Start a run in the background, or continue one; 409 while another is in progress."""
        if body.seeds == []:
            raise BadInput("The list of seeds is empty.", hint="Omit it for those of the paper.")
        return job.start(find_paper(body.paper, config.papers_dir), body.scale, body.seeds)

    @app.delete("/api/runs/current")
    def stop_run(_: Caller) -> Progress:
        """Stop the run; finished cells are stored."""
        return job.stop()


def _load_papers(config: Config) -> tuple[list[Paper], list[str]]:
    """All papers, and a line for each package that cannot be loaded, such as a half-written one."""
    papers, problems = [], []
    for name in paper_names(config.papers_dir):
        try:
            papers.append(find_paper(name, config.papers_dir))
        except Exception as error:  # the user's own code; the other papers do not need it
            problems.append(f"{name} cannot be loaded: {public_message(error, service.log)}")
    return papers, problems


def _find_results(config: Config, name: str, scale: Scale) -> tuple[Stored, Outcome]:
    stored = load_stored(config, find_paper(name, config.papers_dir), scale)
    outcome = stored.own or stored.published
    if outcome is None:
        raise NotFound(f"No results of {name} at {scale} scale.", hint=stored.problem)
    return stored, outcome
