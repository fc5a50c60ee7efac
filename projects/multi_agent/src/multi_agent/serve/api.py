"""The HTTP API: runs and their events, questions, forks, replays and the memory, under `/v1`.

    app = create_app(team, settings)
    service.serve(app, port=8002)               # what `multi-agent serve` runs

    curl -d '{"task": "How many orders were placed in May 2025?"}' http://127.0.0.1:8002/v1/runs
    curl -N http://127.0.0.1:8002/v1/runs/r1/events        # continues after Last-Event-ID

Routes only; the work is done by the `Team`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from multi_agent import __version__
from multi_agent.runs.store import Event, RunRecord
from multi_agent.state import Limits
from multi_agent.team.team import MAX_TASK, Team
from seedbed.server import service
from seedbed.server.service import Caller, CleanText, ErrorResponse
from seedbed.server.streaming import EventStream
from seedbed.settings import Settings

POLL_SECONDS, KEEP_ALIVE_SECONDS = 0.2, 15.0
"""How often a stream looks for events, and sends a comment so that no proxy cuts it off."""
AT_REST = ("waiting", "done", "stopped", "failed")


def create_app(team: Team, settings: Settings | None = None) -> FastAPI:
    """The FastAPI application over an open team."""
    from multi_agent.serve.metrics import team_metrics
    from multi_agent.serve.page import Page
    from seedbed.server import ui

    @asynccontextmanager
    async def metrics(_app: FastAPI) -> AsyncIterator[None]:
        with team_metrics(team):
            yield

    def ready() -> None:
        team.store.runs(1)

    app = service.create_app(
        "multi_agent",
        version=__version__,
        ready=ready,
        settings=settings,
        max_body_mb=1,
        lifespan=metrics,
    )
    app.state.team = team
    app.include_router(router)
    ui.mount(app, Page(team).blocks)
    return app


class RunRequest(BaseModel):
    task: CleanText = Field(examples=["How many orders were placed in May 2025?"])
    thread: CleanText | None = Field(None, max_length=100, description="For follow-up questions.")
    limits: Limits | None = Field(None, description="Instead of AGENTS_BUDGET.")


class AnswerRequest(BaseModel):
    text: CleanText = Field(max_length=MAX_TASK, description="One of the options, or words.")


class ForkRequest(BaseModel):
    step: CleanText = Field(examples=["s2"], max_length=20)
    task: CleanText = Field("", description="Another task for the step.")


def _team(request: Request) -> Team:
    team: Team = request.app.state.team
    return team


Agents = Annotated[Team, Depends(_team)]
router = APIRouter(
    prefix="/v1",
    responses={
        "4XX": {"model": ErrorResponse, "description": "`error.type` names the reason"},
        "5XX": {"model": ErrorResponse, "description": "Unavailable; retry later"},
    },
)


@router.post("/runs", status_code=202)
def start_run(body: RunRequest, team: Agents, _caller: Caller) -> RunRecord:
    """Begin a run. Follow it by its events, or ask for it again."""
    return team.store.run(team.start(body.task, body.thread, body.limits))


@router.get("/runs")
def list_runs(
    team: Agents, _caller: Caller, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[RunRecord]:
    """Runs, the newest first."""
    return team.store.runs(limit)


@router.get("/runs/{run}")
def get_run(run: str, team: Agents, _caller: Caller) -> RunRecord:
    """A run: its status, what it has used so far, its answer."""
    return team.store.run(run).model_copy(update={"usage": team.usage(run)})


@router.get("/runs/{run}/events", responses={200: {"content": {"text/event-stream": {}}}})
async def stream_events(
    run: str,
    team: Agents,
    _caller: Caller,
    last_event_id: Annotated[int, Header(ge=0, lt=2**31)] = 0,
) -> EventStream:
    """The events of a run, those to come too, until it ends or asks something.

    The last one is `end` with the status of the run. A client that reconnects goes on after its
    Last-Event-ID.
    """
    await run_in_threadpool(team.store.run, run)

    async def close() -> None:
        return None

    return EventStream(_events(team, run, last_event_id), close)


async def _events(team: Team, run: str, after: int) -> AsyncIterator[bytes]:
    quiet = 0.0
    while True:
        # The status first: a run at rest adds no event after it was read.
        status = (await run_in_threadpool(team.store.run, run)).status
        batch = await run_in_threadpool(team.store.events, run, after)
        for event in batch:
            yield sent_event(event)
            after, quiet = event.id, 0.0
        if not batch and status in AT_REST:
            yield b'event: end\ndata: {"status": "' + status.encode() + b'"}\n\n'
            return
        # No thread waits: any number of clients may follow a run.
        await asyncio.sleep(0.0 if batch else POLL_SECONDS)
        quiet += POLL_SECONDS
        if quiet >= KEEP_ALIVE_SECONDS:
            yield b": waiting\n\n"
            quiet = 0.0


def sent_event(event: Event) -> bytes:
    """A server-sent event whose id a client sends back as Last-Event-ID."""
    data = json.dumps(event.model_dump(mode="json"), ensure_ascii=False)
    return f"id: {event.id}\nevent: {event.kind}\ndata: {data}\n\n".encode()


@router.post("/runs/{run}/stop", status_code=202)
def stop_run(run: str, team: Agents, _caller: Caller) -> RunRecord:
    """Stop a run after the calls in progress; it answers with what it has."""
    team.stop(run)
    return team.store.run(run)


@router.get("/runs/{run}/question")
def get_question(run: str, team: Agents, _caller: Caller) -> dict[str, Any] | None:
    """What a waiting run asks, with its options; null if it asks nothing."""
    team.store.run(run)
    return team.question(run)


@router.post("/runs/{run}/answer", status_code=202)
def answer_run(run: str, body: AnswerRequest, team: Agents, _caller: Caller) -> RunRecord:
    """Answer what a run asks; it goes on."""
    team.answer(run, body.text)
    return team.store.run(run)


@router.post("/runs/{run}/resume", status_code=202)
def resume_run(run: str, team: Agents, _caller: Caller) -> RunRecord:
    """Continue a run whose process died."""
    team.resume(run)
    return team.store.run(run)


@router.post("/runs/{run}/fork", status_code=202)
def fork_run(run: str, body: ForkRequest, team: Agents, _caller: Caller) -> RunRecord:
    """A new run from a step on; results that do not need the step are kept."""
    return team.store.run(team.fork(run, body.step, body.task))


@router.post("/runs/{run}/replay")
def replay_run(run: str, team: Agents, _caller: Caller) -> dict[str, Any]:
    """Work a run out again from its record, without a model or a tool."""
    return asdict(team.replay(run))


@router.get("/memory")
def list_memory(team: Agents, _caller: Caller) -> list[dict[str, Any]]:
    """Everything that is remembered."""
    return [item.model_dump(mode="json") for item in team.memory.items()]


@router.delete("/memory/{item}", status_code=204)
def forget_item(item: str, team: Agents, _caller: Caller) -> None:
    """Erase one item of the memory."""
    team.memory.forget(item)


@router.delete("/memory", status_code=204)
def forget_all(team: Agents, _caller: Caller) -> None:
    """Erase the memory."""
    team.memory.forget_all()
