"""Which process runs a run: the one with the lease in the database, which it renews.

    leases = Leases(store.engine)
    leases.claim("r1")          # False while another process has the lease
    leases.renew(["r1"])        # at least every few seconds; returns the runs that were lost

When a process dies, another one can claim its runs after LEASE_SECONDS. A process that was frozen
for longer finds by `held` that it has lost them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from multi_agent.runs.database import create_tables, writing
from multi_agent.runs.store import runs

LEASE_SECONDS = 15.0
"""Duration of a lease that is not renewed."""

_metadata = sa.MetaData()
_leases = sa.Table(
    "leases",
    _metadata,
    sa.Column("run", sa.String, primary_key=True),
    sa.Column("owner", sa.String, key="holder", nullable=False),  # a process
    sa.Column("until", sa.Float, nullable=False),  # seconds since 1970
)


class Leases:
    """The leases of one process, each for `seconds` unless renewed."""

    def __init__(self, engine: sa.Engine, seconds: float = LEASE_SECONDS) -> None:
        self.engine, self.seconds = engine, seconds
        self._ends: dict[str, float] = {}  # by run, on this process's monotonic clock
        self.holder = secrets.token_hex(8)
        create_tables(engine, _metadata)

    def claim(self, run: str) -> bool:
        """Take the lease of a run; False while another process has it."""
        start, now = time.monotonic(), time.time()
        until = now + self.seconds
        mine = sa.update(_leases).where(
            _leases.c.run == run, (_leases.c.holder == self.holder) | (_leases.c.until < now)
        )
        row = {"holder": self.holder, "until": until}
        try:
            with writing(self.engine) as connection:
                if not connection.execute(mine.values(row)).rowcount:
                    connection.execute(sa.insert(_leases).values(run=run, **row))
        except IntegrityError:
            return False
        self._ends[run] = start + self.seconds
        return True

    def held(self, run: str) -> bool:
        """Whether this process still has the lease, even if it was frozen since its last call."""
        return time.monotonic() < self._ends.get(run, 0.0) or not self.renew([run])

    def renew(self, held: Collection[str]) -> set[str]:
        """Renew leases; returns the runs that another process has taken."""
        if not held:
            return set()
        mine = (_leases.c.run.in_(held), _leases.c.holder == self.holder)
        start = time.monotonic()
        with writing(self.engine) as connection:
            until = time.time() + self.seconds
            connection.execute(sa.update(_leases).where(*mine).values(until=until))
            renewed = {run for (run,) in connection.execute(sa.select(_leases.c.run).where(*mine))}
        self._ends |= dict.fromkeys(renewed, start + self.seconds)
        return set(held) - renewed

    def release(self, run: str) -> None:
        """Give the lease of a run back."""
        self._ends.pop(run, None)
        mine = (_leases.c.run == run, _leases.c.holder == self.holder)
        with writing(self.engine) as connection:
            connection.execute(sa.delete(_leases).where(*mine))

    def orphans(self) -> list[str]:
        """The running runs whose process is dead, oldest first."""
        now = time.time()
        held = sa.select(_leases.c.run).where(_leases.c.until >= now)
        query = sa.select(runs.c.id).where(runs.c.status == "running", runs.c.id.not_in(held))
        query = query.where(runs.c.created_at < now - self.seconds)  # not one just being started
        with self.engine.connect() as connection:
            return [run for (run,) in connection.execute(query.order_by(runs.c.created_at))]
