"""The HTTP API: runs and their events, questions and threads, under `/v1`.

    app = create_app(team, settings)
    service.serve(app, port=8002)               # what `multi-agent serve` runs

    curl -d '{"task": "How many orders were placed in May 2025?"}' http://127.0.0.1:8002/v1/runs
    curl -N http://127.0.0.1:8002/v1/runs/r1/events        # continues after Last-Event-ID

Routes only; the work is done by the `Team`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from multi_agent import __version__
from multi_agent.runs.state import Limits
from multi_agent.runs.store import RunRecord
from multi_agent.serve.page import Page, owner_of
from multi_agent.team.team import MAX_TASK, Team
from seedbed.server import service, ui
from seedbed.server.service import CleanText, CurrentCaller, ErrorResponse
from seedbed.settings import Settings

POLL_SECONDS = 0.2
"""How often a stream of events looks for new ones."""


def create_app(team: Team, settings: Settings | None = None) -> FastAPI:
    """The FastAPI application over an open team."""
    app = service.create_app(
        "multi_agent",
        version=__version__,
        ready=lambda: team.store.check(),
        settings=settings,
        max_body_mb=1,
    )
    app.state.team = team
    app.include_router(router)
    ui.mount(app, Page(team).blocks)
    return app


class RunRequest(BaseModel):
    task: CleanText = Field(examples=["How many orders were placed in May 2025?"])
    thread: CleanText | None = Field(None, max_length=100, description="For follow-up questions.")
    limits: Limits | None = Field(
        None,
        description="Limits below those of the server (AGENTS_BUDGET), which apply where one is"
        " left out. A higher one is refused with status 400.",
    )


class AnswerRequest(BaseModel):
    text: CleanText = Field(max_length=MAX_TASK, description="One of the options, or words.")
    key: CleanText = Field(description="Of the question: a reply answers no other one.")


def _team(request: Request) -> Team:
    team: Team = request.app.state.team
    return team


Agents = Annotated[Team, Depends(_team)]


def _owner(request: Request, _: CurrentCaller) -> str:
    return owner_of(request)


def _own_run(run: str, team: Agents, owner: Annotated[str, Depends(_owner)]) -> RunRecord:
    return team.store.run(run, owner)


Owner = Annotated[str, Depends(_owner)]
OwnRun = Annotated[RunRecord, Depends(_own_run)]
"""The run of the path; one of another owner is not found."""
router = APIRouter(
    prefix="/v1",
    responses={
        "4XX": {"model": ErrorResponse, "description": "`error.type` names the reason"},
        "5XX": {"model": ErrorResponse, "description": "Unavailable; retry later"},
    },
)


@router.post("/runs", status_code=202)
def start_run(body: RunRequest, team: Agents, owner: Owner) -> RunRecord:
    """Start a run. Follow its events, or poll it."""
    return team.store.run(team.start(body.task, body.thread, body.limits, owner))


@router.get("/runs")
def list_runs(
    team: Agents, owner: Owner, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[RunRecord]:
    """The caller's runs, newest first."""
    return team.store.runs(limit, owner=owner)


@router.get("/runs/{run}")
def get_run(run: OwnRun, team: Agents) -> RunRecord:
    """A run: its status, what it has used so far, its answer."""
    return run.model_copy(update={"usage": team.usage(run.id)})


@router.get("/runs/{run}/events", response_class=EventSourceResponse)
async def stream_events(
    run: OwnRun, team: Agents, last_event_id: Annotated[int, Header(ge=0, lt=2**31)] = 0
) -> AsyncIterator[ServerSentEvent]:
    """Stream past and future events until the run ends or waits for input.

    The last one is `end` with the status of the run. A client that reconnects continues after its
    Last-Event-ID.
    """
    while True:
        # The status first: a run that is not running adds no event after it was read.
        status = (await run_in_threadpool(team.store.run, run.id)).status
        events = await run_in_threadpool(team.store.events, run.id, last_event_id)
        for event in events:
            yield ServerSentEvent(data=event, event=event.kind, id=str(event.id))
            last_event_id = event.id
        if not events and status != "running":
            yield ServerSentEvent(data={"status": status}, event="end")
            return
        # No thread waits: any number of clients may follow a run.
        await asyncio.sleep(0 if events else POLL_SECONDS)


@router.delete("/runs/{run}", status_code=204)
def erase_run(run: OwnRun, team: Agents) -> None:
    """Erase a run that does not run, with all that was recorded of it."""
    team.erase(run.id)


@router.delete("/threads/{thread}", status_code=204)
def erase_thread(thread: str, team: Agents, owner: Owner) -> None:
    """Erase the caller's runs of a thread."""
    for run in team.store.runs(None, owner=owner, thread=thread):
        team.erase(run.id)


@router.post("/runs/{run}/stop", status_code=202)
def stop_run(run: OwnRun, team: Agents) -> RunRecord:
    """Stop a run after the calls in progress; its answer is what was found until then."""
    team.stop(run.id)
    return team.store.run(run.id)


@router.get("/runs/{run}/question")
def get_question(run: OwnRun, team: Agents) -> dict[str, Any] | None:
    """The question of a waiting run, with its key and options; null for other runs."""
    return team.question(run.id)


@router.post("/runs/{run}/answer", status_code=202)
def answer_run(run: OwnRun, body: AnswerRequest, team: Agents) -> RunRecord:
    """Answer the question of a waiting run, which then continues."""
    team.reply(run.id, body.text, body.key)
    return team.store.run(run.id)


@router.post("/runs/{run}/resume", status_code=202)
def resume_run(run: OwnRun, team: Agents) -> RunRecord:
    """Continue a run that failed or was stopped, or whose process died; keeps what it found."""
    team.resume(run.id)
    return team.store.run(run.id)


@router.delete("/memory", status_code=204)
def erase_memory(team: Agents, owner: Owner) -> None:
    """Erase the facts that the caller asked to remember."""
    team.erase_memory(owner)
