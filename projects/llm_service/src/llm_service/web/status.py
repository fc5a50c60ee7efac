"""The figures of the status page and of `GET /admin/status`.

Status(gateway, keys).read()
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

from cachetools import TTLCache, cached

from llm_service import __version__
from llm_service.gateway.gateway import Gateway
from llm_service.store import usage
from llm_service.store.keys import KeyStore

USAGE_SECONDS = 10.0  # pages are read again every few seconds, sums over a month less often


class Status:
    """The figures of one gateway; usage is that of all processes that share its database."""

    def __init__(self, gateway: Gateway, keys: KeyStore) -> None:
        self._gateway = gateway
        self._keys = keys
        cache: TTLCache[Any, Any] = TTLCache(1, USAGE_SECONDS)
        self._usage = cached(cache, lock=Lock())(self._read_usage)

    def read(self) -> dict[str, Any]:
        """Models as they are now and as they answered in the last hour, and the spending of this
        month (UTC) by key. Money in USD, times in seconds.

        It queries the database, so call it in a thread. Raises Unavailable if that fails.
        """
        last_hour, spending = self._usage()
        models = self._models(last_hour)
        return {
            "version": __version__,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "started": datetime.fromtimestamp(self._gateway.started, UTC).isoformat(),
            "running": sum(model["running"] for model in models),
            "waiting": sum(model["waiting"] for model in models),
            "models": models,
            **spending,
        }

    def _models(self, last_hour: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        memory = self._gateway.pool.memory()
        replicas = {replica.model: replica for replica in self._gateway.router.replicas()}
        rows = []
        for name, entry in self._gateway.table.models.items():
            if (replica := replicas.get(name)) is None:  # a reload is about to add it
                continue
            recent = last_hour.get(name, {})
            rows.append(
                {
                    "name": name,
                    "kind": entry.kind,
                    "backend": entry.backend,
                    "price_in": entry.prices[0],
                    "price_out": entry.prices[1],
                    "loaded": memory[name] is not None if name in memory else None,
                    "memory_bytes": memory.get(name),
                    "breaker": replica.breaker.state,
                    "running": replica.backend.load.running,
                    "waiting": replica.backend.load.waiting,
                    "requests": recent.get("n", 0),
                    "errors": recent.get("errors", 0),
                    "p50_seconds": recent.get("p50_seconds"),
                    "p95_seconds": recent.get("p95_seconds"),
                }
            )
        return rows

    def _read_usage(self) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
        """The requests of the last hour by model, and the spending."""
        now, database = datetime.now(UTC), self._gateway.database
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        month = today.replace(day=1)
        last_hour = usage.report(database, "model", since=now - timedelta(hours=1))
        by_key = usage.report(database, "key", since=month, latency=False)
        by_day = usage.report(database, "day", since=today, latency=False)
        budgets = {key.id: key.budget_usd for key in self._keys.list()}
        return {row["model"]: row for row in last_hour}, {
            "today_usd": sum(row["cost_usd"] for row in by_day),
            "month_usd": sum(row["cost_usd"] for row in by_key),
            "keys": [{**row, "budget_usd": budgets.get(row["key_id"])} for row in by_key],
        }
