"""The operator's HTTP API under `/admin`: status, keys, models, usage, experiments.

Every route wants a key with the scope `admin` (a server without any keys is open to this machine).
"""

from __future__ import annotations

import asyncio
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass

from llm_service.gateway.experiments import report
from llm_service.gateway.gateway import Gateway
from llm_service.store import usage
from llm_service.store.key_limits import Count, KeyLimits, Usd
from llm_service.store.keys import KeyStore
from llm_service.store.printed import key_json
from llm_service.web.errors import ERRORS
from llm_service.web.status import Status, models_of
from seedbed.errors import Forbidden
from seedbed.server.service import Caller, CleanText


@dataclass(frozen=True, kw_only=True, config={"extra": "forbid"})
class NewKey(KeyLimits):
    """A new API key. Limits that are not set do not apply."""

    name: CleanText


class KeyChanges(BaseModel):
    """Limits of a key to change."""

    model_config = ConfigDict(extra="forbid")

    rpm: Count | None = None
    tpm: Count | None = None
    concurrency: Count | None = None
    budget_usd: Usd | None = None
    team_budget_usd: Usd | None = None


class Rotation(BaseModel):
    """How a key's secret is replaced."""

    model_config = ConfigDict(extra="forbid")

    grace_hours: Annotated[float, Field(ge=0, le=8760, allow_inf_nan=False)] = 24.0
    """Hours in which the old secret is still accepted."""


def routes(gateway: Gateway, keys: KeyStore, status: Status) -> APIRouter:
    def operator(caller: Caller) -> None:
        if not keys.get(caller).may("admin"):
            raise Forbidden(
                "This key cannot use the admin API.", hint="Use a key with the scope 'admin'."
            )

    router = APIRouter(
        prefix="/admin", tags=["admin"], dependencies=[Depends(operator)], responses=ERRORS
    )

    @router.get("/status")
    def read_status(request: Request) -> dict[str, Any]:
        """Return the figures of the status page."""
        request.scope["seedbed.route"] = "page"  # polled: no line in the log each time
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

    _add_models(router, gateway)
    _add_keys(router, keys)
    return router


def _add_models(router: APIRouter, gateway: Gateway) -> None:
    @router.get("/models")
    def models() -> dict[str, Any]:
        """Return the models, routes and aliases in use."""
        table = gateway.table
        return {
            "default": table.default,
            "models": models_of(gateway),
            "routes": [route.model_dump() for route in table.routes.values()],
            "aliases": dict(table.aliases),
            "experiments": list(table.experiments),
        }

    @router.post("/models/reload")
    async def reload() -> dict[str, Any]:
        """Reload the models file. An invalid file changes nothing and results in a 400."""
        table = await gateway.reload()
        return {"models": table.names()}


def _add_keys(router: APIRouter, keys: KeyStore) -> None:
    @router.get("/keys")
    def list_keys() -> dict[str, Any]:
        """List all keys, without their secrets."""
        return {"keys": [key_json(key) for key in keys.list()]}

    @router.post("/keys", status_code=201)
    async def create_key(body: NewKey) -> dict[str, Any]:
        """Create a key. The secret is only shown in this response."""
        limits = {field.name: getattr(body, field.name) for field in fields(KeyLimits)}
        key, secret = await asyncio.to_thread(lambda: keys.create(body.name, **limits))
        return {"id": key.id, "key": secret, **key_json(key)}

    @router.post("/keys/{id_or_name}/rotate")
    async def rotate_key(id_or_name: CleanText, body: Rotation) -> dict[str, Any]:
        """Replace a key's secret. The new one is only shown in this response."""
        key, secret = await asyncio.to_thread(keys.rotate, id_or_name, body.grace_hours)
        return {"id": key.id, "key": secret, **key_json(key)}

    @router.patch("/keys/{id_or_name}")
    async def update_key(id_or_name: CleanText, body: KeyChanges) -> dict[str, Any]:
        """Change limits of a key, e.g. raise its budget; the others stay as they are."""
        limits = body.model_dump()
        return key_json(await asyncio.to_thread(lambda: keys.update(id_or_name, **limits)))

    @router.delete("/keys/{id_or_name}")
    async def revoke_key(id_or_name: CleanText) -> dict[str, Any]:
        """Revoke a key. It is rejected from now on."""
        return key_json(await asyncio.to_thread(keys.revoke, id_or_name))
