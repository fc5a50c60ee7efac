"""The HTTP API: mails, cases, decisions, effects, switches and statistics under `/v1`.

    app = create_app(config, settings)
    service.serve(app, port=8005)               # what `agentic-workflow serve` runs

    curl --data-binary @mail.eml http://127.0.0.1:8005/v1/mails

Routes only; the work is done in `actions.py` and, for new mails, in `engine/intake.py`. The app
watches the mailbox while it runs; the workers are processes of their own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from agentic_workflow import __version__
from agentic_workflow.config import Config
from agentic_workflow.decide.policy import SHOP_POLICY, PolicyFile, load_policy
from agentic_workflow.engine.desk import open_outbox, open_store
from agentic_workflow.engine.intake import Intake
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.evaluate.simulate import Difference, simulate
from agentic_workflow.serve import schemas
from agentic_workflow.serve.actions import Actions
from agentic_workflow.serve.metrics import store_metrics
from agentic_workflow.store.case import Category, Status
from agentic_workflow.store.records import Statistics
from seedbed.errors import BadInput
from seedbed.server import service
from seedbed.server.service import Caller, CleanText
from seedbed.settings import Settings

MAX_MAIL_MB, FORM_MB = 25, 1
MAX_CURSOR = 2**31 - 1


def create_app(config: Config, settings: Settings | None = None) -> FastAPI:
    """The FastAPI application. It opens the databases and closes them on shutdown.

    `app.state.actions` is for the page. Raises ConfigError, MissingExtra or Unavailable.
    """
    from agentic_workflow.serve.page import Page
    from seedbed.server import html, ui

    store, queue = open_store(config), CaseQueue(config)
    actions = Actions(config, store, queue, open_outbox(config, store, "web"))
    intake, policy = Intake(config, store, queue), PolicyFile(config.policy or SHOP_POLICY)

    def ready() -> None:
        actions.switches()

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        stop = threading.Event()
        watching = asyncio.create_task(asyncio.to_thread(intake.watch, stop))
        with store_metrics(store):
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
        max_body_mb=MAX_MAIL_MB + FORM_MB,
        lifespan=life,
    )
    app.state.actions = actions
    router = APIRouter(prefix="/v1", responses=schemas.ERRORS)
    _add_mails(router, intake)
    _add_cases(router, actions)
    _add_effects(router, actions)
    _add_operation(router, actions, policy)
    app.include_router(router)
    ui.mount(app, Page(actions, policy).blocks, extra_css=html.styles(__package__))
    return app


def _add_mails(router: APIRouter, intake: Intake) -> None:
    @router.post(
        "/mails",
        status_code=202,
        response_model=schemas.CaseState,
        openapi_extra=schemas.MAIL_BODY,
    )
    async def post_mail(request: Request, caller: Caller) -> Any:  # noqa: ARG001
        """Take in a mail: the raw message, or a form with it as `file`.

        The same mail again changes nothing and returns the same case.
        """
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form(max_files=1, max_fields=5) as form:
                file = form.get("file")
                data = await file.read() if isinstance(file, UploadFile) else b""
        else:
            data = await request.body()
        if not data.strip():
            raise BadInput("The mail is empty.", hint="Send it as the body, or as `file`.")
        return await run_in_threadpool(intake.take, data)


def _add_cases(router: APIRouter, actions: Actions) -> None:
    store = actions.store

    @router.get("/inbox", response_model=schemas.Inbox)
    def get_inbox(caller: Caller) -> Any:  # noqa: ARG001
        """What waits for a person."""
        return actions.inbox()

    @router.get("/cases", response_model=schemas.CaseList)
    def list_cases(
        caller: Caller,  # noqa: ARG001
        status: Status | None = None,
        category: Category | None = None,
        text: Annotated[CleanText, Query(max_length=500, description="Words to find.")] = "",
        before: Annotated[int | None, Query(ge=0, le=MAX_CURSOR)] = None,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> Any:
        """List cases, the newest first. `text` finds beginnings of words in the mails."""
        cases = store.cases(status=status, category=category, text=text, before=before, limit=limit)
        return {"cases": cases, "next": cases[-1].number if len(cases) == limit else None}

    @router.get("/cases/{case_id}", response_model=schemas.CaseDetails)
    def get_case(case_id: CleanText, caller: Caller) -> Any:  # noqa: ARG001
        """A case with its timeline, approval and effects."""
        return actions.details(case_id)

    @router.post("/cases/{case_id}/decision", response_model=schemas.CaseState)
    def decide(case_id: CleanText, body: schemas.DecisionRequest, caller: Caller) -> Any:
        """Decide a case that waits. The second of two people gets 409 with the first one's name."""
        return actions.decide(case_id, body.decision, caller, body.subject, body.body, body.comment)

    @router.post("/cases/{case_id}/replay", response_model=schemas.CaseState)
    def replay_case(case_id: CleanText, caller: Caller) -> Any:
        """Try a failed case again."""
        return store.case(actions.replay(case_id, caller))


def _add_effects(router: APIRouter, actions: Actions) -> None:
    @router.get("/effects", response_model=list[schemas.Effect])
    def list_effects(caller: Caller, status: CleanText = "in_doubt") -> Any:  # noqa: ARG001
        """List refunds and replies by status, e.g. `in_doubt` or `failed`."""
        return actions.effects(status)

    @router.post("/effects/{key:path}/resolve", response_model=schemas.CaseState)
    def resolve(key: CleanText, body: schemas.ResolveRequest, caller: Caller) -> Any:
        """Settle an effect that is in doubt."""
        return actions.store.case(actions.resolve(key, body.happened, caller))

    @router.post("/effects/{key:path}/replay", response_model=schemas.CaseState)
    def replay(key: CleanText, caller: Caller) -> Any:
        """Try an effect that failed for good once more."""
        return actions.store.case(actions.replay_effect(key, caller))


def _add_operation(router: APIRouter, actions: Actions, policy: PolicyFile) -> None:
    @router.get("/switches")
    def get_switches(caller: Caller) -> dict[str, bool]:  # noqa: ARG001
        """The kill switch (`stopped`) and `dry_run`."""
        return actions.switches()

    @router.post("/switches")
    def set_switch(body: schemas.SwitchRequest, caller: Caller) -> dict[str, bool]:
        """Turn a switch on or off."""
        actions.set_switch(body.name, body.on, caller)
        return actions.switches()

    @router.get("/policy", response_model=schemas.PolicyInfo)
    def get_policy(caller: Caller) -> Any:  # noqa: ARG001
        """The policy in force, and what is wrong with a newer file."""
        current = policy.current()
        rules = current.model_dump(mode="json")
        return {"version": current.version, "problem": policy.problem, "policy": rules}

    @router.get("/statistics", response_model=Statistics)
    def get_statistics(
        caller: Caller,  # noqa: ARG001
        days: Annotated[int, Query(ge=1, le=366)] = 30,
    ) -> Any:
        """Figures of the cases closed in the last days."""
        return actions.store.statistics(days)

    @router.post("/simulate", response_model=list[Difference])
    def post_simulate(body: schemas.SimulateRequest, caller: Caller) -> Any:  # noqa: ARG001
        """Decide past cases again by a changed policy; returns those that would differ."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "policy.toml"
            path.write_text(body.policy, encoding="utf-8")
            changed = load_policy(path)
        return simulate(actions.store, changed)
