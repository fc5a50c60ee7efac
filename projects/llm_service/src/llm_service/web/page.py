"""The status page and playground: files of this package, and the JSON that the page polls.

It knows no gateway: what it shows comes from `Metrics` and a few callables. The page itself is
static and holds no data, so that its policy can forbid every script and style but its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, TypedDict

from fastapi import APIRouter, Request, Response

from llm_service.observe.metrics import Metrics

log = logging.getLogger("llm_service.web.page")
_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'"
)
_FILES = {
    "": ("page.html", "text/html; charset=utf-8"),
    "page.js": ("page.js", "text/javascript; charset=utf-8"),
    "page.css": ("page.css", "text/css; charset=utf-8"),
    "page.svg": ("page.svg", "image/svg+xml"),
}
_STATES = {0: "closed", 1: "half open", 2: "open"}


class ModelRow(TypedDict, total=False):
    """A model of the table as the page needs it; prices in USD for a million tokens."""

    name: str
    kind: str
    backend: str
    price_in: float
    price_out: float


class KeySpend(TypedDict, total=False):
    """This month's spend of one key; `budget_usd` is None without a budget."""

    name: str
    cost_usd: float
    budget_usd: float | None
    requests: int
    tokens: int


class Spend(TypedDict):
    """Money by the accounting store, in USD; `keys` has the dearest first."""

    today_usd: float
    month_usd: float
    keys: Sequence[KeySpend]


def _no_models() -> Sequence[ModelRow]:
    return ()


@dataclass
class Sources:
    """Where the page's figures come from. `spend` may query a database: it is asked rarely."""

    metrics: Metrics
    models: Callable[[], Sequence[ModelRow]] = _no_models
    spend: Callable[[], Spend | None] = lambda: None
    draining: Callable[[], bool] = lambda: False
    version: str = ""
    spend_seconds: float = 10.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _spend: tuple[float, Spend | None] | None = None

    def spent(self) -> Spend | None:
        """The spend, at most `spend_seconds` old; None if it can't be told just now."""
        with self._lock:
            now = time.monotonic()
            if self._spend is None or now - self._spend[0] > self.spend_seconds:
                self._spend = (now, _read(self.spend))
            return self._spend[1]


def _read(source: Callable[[], Spend | None]) -> Spend | None:
    try:
        return source()
    except Exception as error:
        log.warning("Cannot read the spend for the status page: %s", error)
        return None


def status(sources: Sources) -> dict[str, Any]:
    """What `GET /admin/status` answers: all that the page shows, as JSON.

    It may wait for a database: call it in a thread (a plain `def` route does).
    """
    recent = sources.metrics.recent.summary()
    load = sources.metrics.read("load") or {}
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "version": sources.version,
        "draining": sources.draining(),
        "running": sum(each.running for each in load.values()),
        "waiting": sum(each.waiting for each in load.values()),
        "models": _rows(sources, load, recent),
        "spend": sources.spent(),
        "cache_size": sources.metrics.read("cache"),
        "accounting": sources.metrics.read("accounting"),
        "recent": recent,
        "errors": [
            {
                "at": each.at,
                "request_id": each.request_id,
                "model": each.model,
                "type": each.type,
                "message": each.message,
                "count": each.count,
            }
            for each in reversed(list(sources.metrics.recent.errors))
        ],
    }


def _rows(
    sources: Sources, load: Mapping[str, Any], recent: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """One row a model: what it is, how busy, and how its attempts of late went."""
    memory = sources.metrics.read("models") or {}
    limits = sources.metrics.read("queue_limit") or {}
    breakers = sources.metrics.read("upstreams") or {}
    known = {row["name"]: row for row in sources.models()}
    # What has load or a breaker but is in no table any more still finishes its requests: show it.
    names = [*known, *sorted({*load, *breakers, *memory} - {*known})]
    return [
        {
            "name": name,
            "kind": "",
            "backend": "",
            "price_in": 0.0,
            "price_out": 0.0,
            **known.get(name, {}),
            "running": getattr(load.get(name), "running", 0),
            "waiting": getattr(load.get(name), "waiting", 0),
            "queue_limit": limits.get(name),
            "loaded": (memory[name] is not None) if name in memory else None,
            "memory_bytes": memory.get(name),
            "breaker": _STATES.get(breakers[name]) if name in breakers else None,
            "attempts": recent["attempts"].get(name, 0),
            "failures": recent["failures"].get(name, 0),
        }
        for name in names
    ]


def routes() -> APIRouter:
    """`GET /` and the three files it loads. Behind a path of a proxy they work too."""
    router = APIRouter(include_in_schema=False)
    for path, (name, media_type) in _FILES.items():
        router.add_api_route(f"/{path}", _file(name, media_type), methods=["GET"])
    return router


def _file(name: str, media_type: str) -> Callable[[Request], Response]:
    import hashlib

    body = files(__package__).joinpath(name).read_bytes()
    headers = {
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",  # kept, but asked about: a new version shows at once
        "etag": f'"{hashlib.sha256(body).hexdigest()[:16]}"',
    }

    def serve(request: Request) -> Response:
        request.scope["seedbed.route"] = "page"
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=media_type, headers=headers)

    return serve
