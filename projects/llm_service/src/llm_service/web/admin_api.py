"""The operator's HTTP API under `/admin`: status, keys, models, usage, experiments.

Every route wants a key with the scope `admin` (a server without any keys is open to this machine).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from llm_service import __version__
from llm_service.gateway.gateway import Gateway
from llm_service.store import usage
from llm_service.store.database import Database
from llm_service.store.keys import KeyStore
from llm_service.store.printed import key_json
from llm_service.web import page
from seedbed.errors import Forbidden
from seedbed.server.service import Caller, CleanText


class NewKey(BaseModel):
    """A new API key. Limits that are not set do not apply."""

    model_config = ConfigDict(extra="forbid")

    name: CleanText = Field(min_length=1, max_length=100)
    scopes: list[Literal["chat", "embeddings", "admin"]] = ["chat", "embeddings"]
    models: list[CleanText] = []
    rpm: Annotated[int | None, Field(gt=0)] = None
    tpm: Annotated[int | None, Field(gt=0)] = None
    concurrency: Annotated[int | None, Field(gt=0)] = None
    budget_usd: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    team: CleanText = ""
    team_budget_usd: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    expires: datetime | None = None


class Rotation(BaseModel):
    """How a key's secret is replaced."""

    model_config = ConfigDict(extra="forbid")

    grace_hours: Annotated[float, Field(ge=0, le=8760, allow_inf_nan=False)] = 24.0
    """Hours in which the old secret is still accepted."""


def routes(gateway: Gateway, keys: KeyStore, *, draining: Callable[[], bool]) -> APIRouter:
    def operator(caller: Caller) -> None:
        if not keys.get(caller).may("admin"):
            raise Forbidden(
                "This key cannot use the admin API.", hint="Use a key with the scope 'admin'."
            )

    router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(operator)])
    sources = page.Sources(
        gateway.metrics,
        models=lambda: models_of(gateway),
        spend=lambda: spent(gateway.database, keys),
        draining=draining,
        version=__version__,
    )

    gateway.metrics.watch("budgets", lambda: budgets_of(gateway, keys))

    @router.get("/status")
    def status(request: Request) -> dict[str, Any]:
        """Return the figures of the status page."""
        request.scope["seedbed.route"] = "page"  # polled every 2 s: no line in the log each time
        return page.status(sources)

    @router.get("/usage")
    def usage_report(by: Literal["key", "model", "day"] = "key") -> dict[str, Any]:
        """Report requests, tokens and cost by key, model or day."""
        return {"by": by, "rows": usage.report(gateway.database, by)}

    @router.get("/experiments")
    def experiments() -> dict[str, Any]:
        """Compare the variants of each experiment, with a verdict."""
        return {"experiments": gateway.experiments.report(gateway.database)}

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
        limits = body.model_dump(exclude={"name"}, exclude_none=True)
        key, secret = await asyncio.to_thread(lambda: keys.create(body.name, **limits))
        return {"id": key.id, "key": secret, **key_json(key)}

    @router.post("/keys/{id_or_name}/rotate")
    async def rotate_key(id_or_name: CleanText, body: Rotation) -> dict[str, Any]:
        """Replace a key's secret. The new one is only shown in this response."""
        key, secret = await asyncio.to_thread(keys.rotate, id_or_name, body.grace_hours)
        return {"id": key.id, "key": secret, **key_json(key)}

    @router.delete("/keys/{id_or_name}")
    async def revoke_key(id_or_name: CleanText) -> dict[str, Any]:
        """Revoke a key. It is rejected from now on."""
        return key_json(await asyncio.to_thread(keys.revoke, id_or_name))


def budgets_of(gateway: Gateway, keys: KeyStore) -> dict[str, float]:
    """The spent share of each budget, of keys that are in use."""
    shares: dict[str, float] = {}
    for key in keys.list():
        if key.revoked is None:
            shares |= gateway.admission.budgets.shares(key)
    return shares


def spent(database: Database, keys: KeyStore) -> page.Spend:
    """Money of today and of this month (UTC), and by key, the dearest first."""
    budgets = {key.id: key.budget_usd for key in keys.list()}
    now = datetime.now(UTC)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows = usage.report(database, "key", since=month, percentiles=False)
    days = usage.report(database, "day", since=month, percentiles=False)
    return {
        "today_usd": sum(row["cost_usd"] for row in days if row["day"] == f"{now:%Y-%m-%d}"),
        "month_usd": sum(row["cost_usd"] for row in rows),
        "keys": [
            {
                "name": row["key"],
                "cost_usd": row["cost_usd"],
                "budget_usd": budgets.get(row["key_id"]),
                "requests": row["n"],
                "tokens": row["prompt_tokens"] + row["completion_tokens"],
            }
            for row in rows
        ],
    }


def models_of(gateway: Gateway) -> list[page.ModelRow]:
    return [
        {
            "name": entry.name,
            "kind": entry.kind,
            "backend": entry.backend,
            "price_in": entry.prices[0],
            "price_out": entry.prices[1],
        }
        for entry in gateway.table.models.values()
    ]
