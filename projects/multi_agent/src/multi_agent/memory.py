"""What an owner's next run may use of the earlier ones: the tasks of their thread, and facts.

    memory = Memory(store)
    memory.learn("alice", "Remember that our VAT is 19 %.")
    memory.facts("alice")     # [Fact(text="our VAT is 19 %", …)]: in every prompt of her runs

A fact is stored only when the user says so, never from a document or a tool. Secrets are redacted.

The table is ours: LangGraph's SqliteStore sorts by whole seconds, returns expired items until they
are swept, and refuses names with a period.
"""

from __future__ import annotations

import re
import secrets
import time
from datetime import datetime

import sqlalchemy as sa

from multi_agent.runs.database import create_tables, writing
from multi_agent.runs.store import RunStore
from multi_agent.state import Value
from seedbed.errors import NotFound, TooLarge
from seedbed.safety.secrets import redact_secrets

MAX_FACT = 500
"""Characters of a fact."""
MAX_FACTS = 30
"""Facts of an owner, who reads all of them in each prompt; the oldest makes room."""
_FACT = re.compile(
    r"(?is)\s*(?:please\s+)?remember\b[\s,]*(?:that\b|:)\s*(?P<text>.+?)\s*(?:[.!](?:\s|$)|$)"
)
_metadata = sa.MetaData()
_items = sa.Table(
    "memory",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Column("kind", sa.String, nullable=False, index=True),  # others are of earlier versions
    sa.Column("source", sa.String, nullable=False, index=True),
    sa.Column("text", sa.JSON, nullable=False),  # JSON: may contain what Postgres' text may not
    sa.Column("created_at", sa.Float, nullable=False),  # seconds since 1970
)


class Fact(Value):
    """What a user asked to remember."""

    id: str
    text: str
    created_at: datetime


class Memory:
    """The facts in the database of the runs.

    >>> memory = Memory(RunStore("sqlite:///runs.sqlite"))
    >>> memory.learn("alice", "Remember that the Berlin shop is closed.")
    'the Berlin shop is closed'
    >>> [fact.text for fact in memory.facts("alice")], memory.facts("bob")
    (['the Berlin shop is closed'], [])
    """

    def __init__(self, store: RunStore) -> None:
        self._store, self._engine = store, store.engine
        create_tables(store.engine, _metadata)

    def thread(self, owner: str, thread: str, limit: int = 5) -> list[str]:
        """The last tasks of a thread, each in full, the latest at the end."""
        runs = self._store.runs(limit, owner=owner, thread=thread)
        return [run.full_task or run.task for run in reversed(runs) if not _FACT.match(run.task)]

    def learn(self, owner: str, task: str) -> str | None:
        """Store the fact of "Remember that …"; None for other tasks. Raises TooLarge."""
        match = _FACT.match(task)
        if not match or match["text"].endswith("?"):  # "Remember that order?"
            return None
        if len(match["text"]) > MAX_FACT:
            raise TooLarge(f"A fact has at most {MAX_FACT} characters, not {len(match['text']):,}.")
        text = redact_secrets(match["text"])
        row = {"id": f"m{secrets.token_hex(6)}", "owner": owner, "kind": "facts", "source": "user"}
        newest = sa.select(_items.c.id).where(_items.c.owner == owner)
        newest = newest.order_by(_items.c.created_at.desc()).limit(MAX_FACTS)
        surplus = sa.and_(_items.c.owner == owner, _items.c.id.not_in(newest))
        with writing(self._engine) as connection:
            connection.execute(sa.insert(_items).values(**row, text=text, created_at=time.time()))
            connection.execute(sa.delete(_items).where(surplus))
        return text

    def facts(self, owner: str) -> list[Fact]:
        """What an owner asked to remember, newest first."""
        query = sa.select(*(_items.c[name] for name in Fact.model_fields))
        query = query.where(_items.c.owner == owner, _items.c.kind == "facts")
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(_items.c.created_at.desc()))
            return [Fact.model_validate(dict(row)) for row in rows.mappings()]

    def forget(self, owner: str, id: str | None = None) -> None:
        """Erase a fact, or all of an owner. Raises NotFound, also for a fact of another owner."""
        query = sa.delete(_items).where(_items.c.owner == owner)
        query = query if id is None else query.where(_items.c.id == id)
        with writing(self._engine) as connection:
            if not connection.execute(query).rowcount and id is not None:
                raise NotFound(f"Unknown memory {id!r}.")
