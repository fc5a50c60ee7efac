"""The status page, and the operator's HTTP API under `/admin`: status, usage, experiments, reload.

Every route wants a key with the scope `admin` (a server without any keys is open to this machine).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from llm_service.gateway.experiments import report
from llm_service.gateway.gateway import Gateway
from llm_service.store import usage
from llm_service.store.keys import KeyStore
from llm_service.web.errors import ERRORS
from llm_service.web.page import status_page
from llm_service.web.status import Status
from seedbed.errors import Forbidden
from seedbed.server.service import CurrentCaller


def routes(gateway: Gateway, keys: KeyStore) -> APIRouter:
    def operator(caller: CurrentCaller) -> None:
        if not caller.operator:
            raise Forbidden(
                "This key cannot use the admin API.", hint="Use a key with the scope 'admin'."
            )

    status = Status(gateway, keys)
    pages = APIRouter(dependencies=[Depends(operator)], responses=ERRORS)
    router = APIRouter(prefix="/admin", tags=["admin"])

    @pages.get("/", include_in_schema=False)
    def page(request: Request, caller: CurrentCaller) -> HTMLResponse:
        request.scope["seedbed.route"] = "page"  # polled: no line in the log each time
        return HTMLResponse(status_page(status.read(), caller))

    @router.get("/status")
    def read_status(request: Request) -> dict[str, Any]:
        """Return the figures of the status page."""
        request.scope["seedbed.route"] = "page"
        return status.read()

    @router.get("/usage")
    def usage_report(by: usage.By = "key", since: datetime | None = None) -> dict[str, Any]:
        """Report requests, tokens and cost by key, team, user, model or day.

        With `since` (UTC), only of the requests from then on, and with percentiles of their time.
        """
        latency = since is not None  # they sort all these requests
        rows = usage.report(gateway.database, by, since, latency=latency)
        return {"by": by, "rows": rows}

    @router.get("/experiments")
    def experiments() -> dict[str, Any]:
        """Compare the variants of each experiment, with a verdict."""
        return {"experiments": report(gateway.database)}

    @router.post("/models/reload")
    async def reload() -> dict[str, Any]:
        """Reload the models file. An invalid file changes nothing and results in a 400."""
        table = await gateway.reload()
        return {"models": table.names()}

    pages.include_router(router)
    return pages
