"""The HTTP API under `/v1`: mails in, cases out.

    app = create_app(config, settings)
    service.serve(app, port=8005)               # what `agentic-workflow serve` runs

    curl --data-binary @mail.eml http://127.0.0.1:8005/v1/mails

Routes only; the work is done in `actions.py` and, for new mails, in `engine/intake.py`. What people
do with a case is a form of the page, which a program may post as well. The app watches the mailbox
while it runs; the workers are processes of their own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from agentic_workflow import __version__
from agentic_workflow.case import CaseSummary, Category, Status
from agentic_workflow.config import Config
from agentic_workflow.decide.policy import SHOP_POLICY, PolicyFile
from agentic_workflow.effects.outbox import Outbox
from agentic_workflow.engine.desk import open_store
from agentic_workflow.engine.intake import Intake
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.serve.actions import Actions, CaseDetails
from seedbed.errors import BadInput
from seedbed.server import service
from seedbed.server.service import CleanText, CurrentCaller, ErrorResponse
from seedbed.settings import Settings

MAX_MAIL_MB = 25
MAX_CURSOR = 2**31 - 1


def create_app(config: Config, settings: Settings | None = None) -> FastAPI:
    """The FastAPI application. It opens the databases and closes them on shutdown.

    `app.state.actions` is for the page. Raises ConfigError, MissingExtra or Unavailable.
    """
    from agentic_workflow.serve import page

    store, queue = open_store(config), CaseQueue(config)
    actions = Actions(config, store, queue, Outbox(store.engine, {}, "web"))
    intake, policy = Intake(config, store, queue), PolicyFile(config.policy or SHOP_POLICY)

    def ready() -> None:
        store.stopped()

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        stop = threading.Event()
        watching = asyncio.create_task(asyncio.to_thread(intake.watch, stop))
        yield
        stop.set()
        await watching
        queue.close()
        store.close()

    app = service.create_app(
        "agentic_workflow",
        version=__version__,
        ready=ready,
        settings=settings,
        max_body_mb=MAX_MAIL_MB,
        lifespan=life,
    )
    app.state.actions, app.state.intake, app.state.policy = actions, intake, policy
    app.include_router(router)
    app.include_router(page.router)
    return app


# ── request and response bodies ─────────────────────────────────────────────────────────────

_CONTENT = {"message/rfc822": {"schema": {"type": "string", "format": "binary"}}}
MAIL_BODY = {"requestBody": {"required": True, "content": _CONTENT}}


class CaseState(BaseModel):
    id: str = Field(description="The same for every copy of a mail.", examples=["c6d56b9038d5e60c"])
    status: Status


class CaseList(BaseModel):
    cases: list[CaseSummary] = Field(description="The newest first.")
    next: int | None = Field(description="Value of `before` for the next page; null at the end.")


# ── routes ──────────────────────────────────────────────────────────────────────────────────


def _part(name: str) -> Any:
    def part(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(part)


Desk = Annotated[Actions, _part("actions")]
router = APIRouter(
    prefix="/v1",
    responses={
        "4XX": {"model": ErrorResponse, "description": "`error.type` names the reason"},
        "5XX": {"model": ErrorResponse, "description": "Unavailable; retry later"},
    },
)


@router.post("/mails", status_code=202, response_model=CaseState, openapi_extra=MAIL_BODY)
async def post_mail(
    request: Request, intake: Annotated[Intake, _part("intake")], desk: Desk, caller: CurrentCaller
) -> Any:
    """Take in a mail, the raw message. The same mail again returns the same case.

    Its sender counts as verified only with the API key of a mail gateway.
    """
    data = await request.body()
    form = request.headers.get("content-type", "").startswith("multipart/")
    if form or not data.strip():
        raise BadInput("The body is not a mail.", hint="Send the raw message as the body.")
    by_mail_server = caller.is_in(desk.gateways)
    return await run_in_threadpool(intake.take, data, by_mail_server=by_mail_server)


@router.get("/cases")
def list_cases(
    desk: Desk,
    _caller: CurrentCaller,
    status: Status | None = None,
    category: Category | None = None,
    text: Annotated[CleanText, Query(max_length=500, description="Words to find.")] = "",
    before: Annotated[int | None, Query(ge=0, le=MAX_CURSOR)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> CaseList:
    """List cases, the newest first. `text` finds beginnings of words in the mails."""
    cases = desk.store.cases(
        status=status, category=category, text=text, before=before, limit=limit
    )
    return CaseList(cases=cases, next=cases[-1].number if len(cases) == limit else None)


@router.get("/cases/{case_id}")
def get_case(case_id: CleanText, desk: Desk, _caller: CurrentCaller) -> CaseDetails:
    """A case with its timeline, effects and thread."""
    return desk.details(case_id)
