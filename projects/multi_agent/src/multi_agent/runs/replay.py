"""The recorded calls of a run in the place of its tools.

    calls = RecordedCalls(store, "r1")
    calls.once("s1", "query_database", {"sql": sql}, function, repeatable=True)   # no call

It has the interface of `Ledger`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from multi_agent.runs.ledger import Ledger
from multi_agent.runs.store import RunStore, ledger
from seedbed.errors import SeedbedError


class NotRecorded(SeedbedError):
    """A replay made a call that the run did not make."""


class RecordedFailure(SeedbedError):
    """A call that failed in the run, and so fails in the replay."""


class RecordedCalls(Ledger):
    """Answers the calls of a run from its record."""

    def __init__(self, store: RunStore, run_id: str) -> None:
        super().__init__(store, run_id)
        self.count = 0
        self.missing = ""
        """The first call that is not in the record."""
        query = sa.select(ledger).where(ledger.c.run == run_id, ledger.c.ended_at.is_not(None))
        with store.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        self._results = {row["key"]: row["result"] for row in rows}
        self.names = {row["name"] for row in rows}
        """Tools, and roles whose model was called."""
        events = store.events(run_id, limit=100_000)
        self._failures = {
            (event.step, event.data["tool"]): event.data["problem"]
            for event in events
            if event.kind == "tool_ended" and event.data.get("problem")
        }

    def once(
        self,
        step_id: str,
        name: str,
        arguments: Mapping[str, Any],
        function: Callable[[], Any],  # noqa: ARG002
        *,
        repeatable: bool,
        retry_of: float | None = None,  # noqa: ARG002
    ) -> Any:
        """The recorded result. Raises RecordedFailure or NotRecorded."""
        key = self.key(step_id if repeatable else "", name, arguments)
        if key in self._results:
            self.count += 1
            return self._results[key]
        if problem := self._failures.get((step_id, name)):
            raise RecordedFailure(problem)
        call = f"{name} in step {step_id} with {dict(arguments)}"
        self.missing = self.missing or call
        raise NotRecorded(f"The record of run {self.run_id!r} has no call of {call}.")
