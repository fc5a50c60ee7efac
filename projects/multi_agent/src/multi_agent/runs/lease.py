"""Which process works on a run: a lease in the database that its holder renews.

    leases = Leases(store.engine)
    leases.claim("r1")          # True: no other process works on the run
    leases.renew(["r1"])        # at least every few seconds; returns the runs that were lost

A process that dies stops renewing, and another one may claim its runs after LEASE_SECONDS. One that
was frozen for longer finds out at its next renewal; the ledger keeps it from repeating a call.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection

import sqlalchemy as sa

from multi_agent.runs.store import create_tables, runs, writing

LEASE_SECONDS = 5.0
"""How long a run stays with a process that gives no sign."""

_metadata = sa.MetaData()
_leases = sa.Table(
    "leases",
    _metadata,
    sa.Column("run", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("until", sa.Float, nullable=False),  # seconds since 1970
)


class Leases:
    """The leases of one process."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.owner = secrets.token_hex(8)
        create_tables(engine, _metadata)

    def claim(self, run: str) -> bool:
        """Take a run; False while another process works on it."""
        now, until = time.time(), time.time() + LEASE_SECONDS
        mine = sa.update(_leases).where(
            _leases.c.run == run, (_leases.c.owner == self.owner) | (_leases.c.until < now)
        )
        with writing(self.engine) as connection:
            if connection.execute(mine.values(owner=self.owner, until=until)).rowcount:
                return True
            if connection.execute(sa.select(_leases).where(_leases.c.run == run)).first():
                return False
            connection.execute(sa.insert(_leases).values(run=run, owner=self.owner, until=until))
            return True

    def renew(self, held: Collection[str]) -> set[str]:
        """Renew leases; returns the runs that another process has taken."""
        if not held:
            return set()
        mine = (_leases.c.run.in_(held), _leases.c.owner == self.owner)
        with writing(self.engine) as connection:
            until = time.time() + LEASE_SECONDS
            connection.execute(sa.update(_leases).where(*mine).values(until=until))
            rows = connection.execute(sa.select(_leases.c.run).where(*mine))
            return set(held) - {run for (run,) in rows}

    def release(self, run: str) -> None:
        """Give a run back."""
        mine = (_leases.c.run == run, _leases.c.owner == self.owner)
        with writing(self.engine) as connection:
            connection.execute(sa.delete(_leases).where(*mine))

    def orphans(self) -> list[str]:
        """Runs at work whose process gives no sign, oldest first."""
        held = sa.select(_leases.c.run).where(_leases.c.until >= time.time())
        query = sa.select(runs.c.id).where(runs.c.status == "running", runs.c.id.not_in(held))
        with self.engine.connect() as connection:
            return [run for (run,) in connection.execute(query.order_by(runs.c.created_at))]
