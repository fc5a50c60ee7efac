"""The web page: inbox, case and search, in plain HTML and forms that work without JavaScript.

    app.include_router(page.router)    # `app.state.actions` and `app.state.policy` are used

Each route renders `page.jinja`, or calls one method of `actions.py` and redirects to the case. If
that is refused, the case is shown with the reason, and what the person typed is not lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader
from pydantic import AfterValidator
from starlette.concurrency import run_in_threadpool

from agentic_workflow.case import CATEGORIES, STATUSES, Verdict
from agentic_workflow.mail.numbers import number_value
from agentic_workflow.serve.actions import Actions
from seedbed.errors import BadInput, SeedbedError
from seedbed.server.service import CleanText, CurrentCaller, caller_of

ROWS, HITS = 25, 100
MAX_AMOUNT = 1_000_000
# No script at all, and nothing from elsewhere.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"
_NUMBER = re.compile(r"\d+(?:[.,' ]\d+)*")


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")  # browsers send CRLF


Text = Annotated[CleanText, AfterValidator(_lines), Form(max_length=20_000)]


class _Route(APIRoute):
    """Shows an error as a page: that of the case, with what the person typed, if there is one."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handle = super().get_route_handler()

        async def handle_or_show(request: Request) -> Response:
            try:
                return await handle(request)
            except SeedbedError as error:
                if case_id := request.path_params.get("case_id"):
                    typed = dict(await request.form())
                    with suppress(SeedbedError):
                        return await run_in_threadpool(_show_case, request, case_id, error, typed)
                return _show(request, "error", error=error)

        return handle_or_show


router = APIRouter(include_in_schema=False, route_class=_Route)


@router.get("/")
def show_inbox_or_case(request: Request, case: CleanText = "") -> Response:
    """The inbox; with `case`, that case."""
    if case:
        return _show_case(request, case)
    store = _actions(request).store
    lists = {
        "waiting": store.waiting()[:ROWS],
        "in_doubt": store.cases(status="in_doubt", limit=ROWS),
        "failed": store.cases(status="failed", limit=ROWS),
        "silent": store.unanswered(ROWS),
    }
    cases = {name: [store.case(row.id) for row in rows] for name, rows in lists.items()}
    now, total = datetime.now(UTC), store.counts()
    return _show(request, "inbox", **cases, total=total, now=now, refresh=30)


@router.get("/search")
def search(
    request: Request,
    text: Annotated[CleanText, Query(max_length=500)] = "",
    status: str = "",
    category: str = "",
) -> Response:
    """The latest cases that match."""
    filters: dict[str, Any] = {
        "status": status if status in STATUSES else None,
        "category": category if category in CATEGORIES else None,
    }
    rows = _actions(request).store.cases(**filters, text=text, limit=HITS + 1)
    return _show(
        request, "search", rows=rows[:HITS], more=len(rows) > HITS, text=text, chosen=filters
    )


@router.post("/cases/{case_id}/decision")
def decide(
    request: Request,
    case_id: CleanText,
    caller: CurrentCaller,
    verdict: Annotated[Verdict, Form()],
    subject: Text = "",
    body: Text = "",
    comment: Text = "",
    question: Text = "",
) -> Response:
    """Approve the reply as it is in the form, reject it, or ask the sender."""
    text = question if verdict == "ask" else comment
    _actions(request).answer(case_id, verdict, caller, subject, body, text)
    return _back_to(case_id)


@router.post("/cases/{case_id}/change")
def change(
    request: Request,
    case_id: CleanText,
    caller: CurrentCaller,
    category: Text = "",
    order: Text = "",
    amount: Text = "",
) -> Response:
    """Change what a case asks for; the desk decides it again."""
    _actions(request).change(case_id, caller, category, order, parse_amount(amount))
    return _back_to(case_id)


@router.post("/cases/{case_id}/replay")
@router.post("/cases/{case_id}/reopen")
def go_on(request: Request, case_id: CleanText, caller: CurrentCaller) -> Response:
    """Try a failed case again, or let a closed one wait for a person."""
    actions = _actions(request)
    act = actions.replay if request.url.path.endswith("/replay") else actions.reopen
    act(case_id, caller)
    return _back_to(case_id)


@router.post("/cases/{case_id}/effect")
def settle(
    request: Request,
    case_id: CleanText,
    caller: CurrentCaller,
    key: Annotated[CleanText, Form()],
    happened: Annotated[bool, Form()],
) -> Response:
    """Settle an effect in doubt."""
    _actions(request).resolve(key, happened, caller)
    return _back_to(case_id)


@router.post("/switch")
def switch(request: Request, caller: CurrentCaller, on: Annotated[bool, Form()]) -> Response:
    """Stop the desk, or release it."""
    _actions(request).stop(on, caller)
    return RedirectResponse("/", 303)


def parse_amount(text: str) -> Decimal:
    """The sum that a person typed, 0 for none. Raises BadInput.

    >>> [str(parse_amount(text)) for text in ("49,90", "1,234", "")]
    ['49.90', '1234', '0']
    """
    number = text.strip() or "0"
    if not _NUMBER.fullmatch(number) or (value := number_value(number)) >= MAX_AMOUNT:
        raise BadInput(f"{text!r} is not an amount.", hint="Write it like 49.90.")
    return value


def _actions(request: Request) -> Actions:
    actions: Actions = request.app.state.actions
    return actions


def _back_to(case_id: str) -> Response:
    return RedirectResponse(f"/?case={quote(case_id)}", 303)


def _show_case(
    request: Request, case_id: str, error: SeedbedError | None = None, typed: Any = None
) -> Response:
    details, waiting = _actions(request).details(case_id), _actions(request).store.waiting()
    status = details.case.status
    is_busy = status in ("received", "working", "approved")
    return _show(
        request,
        "case",
        **dict(details),
        approval=details.case.approval,
        following=None if status == "waiting" else next(iter(waiting), None),
        error=error,
        typed=typed or {},
        refresh=3 if is_busy and not error else 0,
    )


def _show(request: Request, view: str, **values: Any) -> Response:
    actions, policy, error = _actions(request), request.app.state.policy, values.get("error")
    by = caller_of(request)
    values |= {
        "by": by.display_name,
        "signed_in": bool(by.claims),
        "may_approve": actions.may_approve(by),
        "view": view,
    }
    if view != "error":  # the database may be away
        policy.current()  # reads a changed file
        values |= {"problem": policy.problem, "stopped": actions.store.stopped()}
    text = _templates.get_template("page.jinja").render(values)
    headers = {"content-security-policy": _POLICY}
    return HTMLResponse(text, error.status if error else 200, headers)


_templates = Environment(
    loader=PackageLoader("agentic_workflow.serve", "."),
    autoescape=True,  # mails are untrusted: they are printed as text
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals |= {"CATEGORIES": CATEGORIES, "STATUSES": STATUSES}
_templates.filters["time"] = lambda value, length=16: str(value)[:length].replace("T", " ")
_templates.filters["words"] = lambda name: name.replace("_", " ")
