"""What an owner's next run may use of the earlier ones: their thread, facts, and examples of plans.

    memory = Memory(store)
    memory.learn("alice", "Remember that our VAT is 19 %.")
    memory.notes("alice", "What is the VAT on 250 EUR?")     # ["our VAT is 19 %"]

A fact is stored only when the user says so, never from a document or a tool. An example is a task
with its plan, without the answer, which may quote a stranger. Secrets are redacted.

The table is ours: LangGraph's SqliteStore sorts by whole seconds, returns expired items until they
are swept, and refuses names with a period.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa

from multi_agent.runs.database import create_tables, writing
from multi_agent.runs.store import RunStore
from multi_agent.state import Step, Value
from seedbed.errors import ConfigError, NotFound, TooLarge
from seedbed.safety.secrets import redact_secrets

Kind = Literal["thread", "facts", "examples"]
MAX_FACT, MAX_TEXT = 500, 2_000  # characters of a fact; of an example, which is cut
MAX_ITEMS = 1_000  # of an owner and kind; the oldest make room
_FACT = re.compile(
    r"(?is)\s*(?:please\s+)?(?:remember|merke?\s+dir)\b[\s,]*(?:that\b|dass\b|:|"
    r"for\s+(?P<count>\d{1,4})\s+(?P<unit>day|week|month|year)s?[\s,]*(?:that\b|:))"
    r"\s*(?P<text>.+?)\s*(?:[.!](?:\s|$)|$)"
)
_SECONDS = {"day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400, "year": 365 * 86_400}
_STOP_WORDS = frozenset(
    "a an and are at be by did do does for from how in is it many much of on or our the to was"
    " were what when where which who with".split()
)
_metadata = sa.MetaData()
_items = sa.Table(
    "memory",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False, server_default=""),
    sa.Column("kind", sa.String, nullable=False, index=True),
    sa.Column("source", sa.String, nullable=False, index=True),
    sa.Column("text", sa.JSON, nullable=False),  # JSON: may contain what Postgres' text may not
    sa.Column("created_at", sa.Float, nullable=False),  # seconds since 1970
    sa.Column("expires_at", sa.Float),
)


class Item(Value):
    """A fact or an example."""

    id: str
    kind: Kind
    text: str
    source: str
    """The run of an example; "user" for a fact."""
    created_at: datetime
    expires_at: datetime | None = None


class Memory:
    """The memory in the database of the runs; kinds that are off are neither written nor read.

    >>> memory = Memory(RunStore("sqlite:///runs.sqlite"))
    >>> memory.learn("alice", "Remember for 30 days that the Berlin shop is closed.")
    'the Berlin shop is closed'
    >>> memory.notes("alice", "Is the shop in Berlin open?")
    ['the Berlin shop is closed']
    >>> memory.notes("bob", "Is the shop in Berlin open?")
    []
    """

    def __init__(self, store: RunStore, kinds: str = "thread,facts,examples") -> None:
        self.kinds = set(re.findall(r"[^\s,]+", kinds))
        if unknown := self.kinds - set(get_args(Kind)):
            available = f"Available: {', '.join(get_args(Kind))}."
            raise ConfigError(f"AGENTS_MEMORY: unknown kind {min(unknown)!r}.", hint=available)
        self._store, self._engine = store, store.engine
        create_tables(store.engine, _metadata)

    def thread(self, owner: str, thread: str, limit: int = 5) -> list[str]:
        """The last tasks of a thread, each in full, the latest at the end."""
        runs = self._store.runs(limit, owner=owner, thread=thread) if "thread" in self.kinds else []
        return [run.full_task or run.task for run in reversed(runs) if not _FACT.match(run.task)]

    def learn(self, owner: str, task: str) -> str | None:
        """Store the fact of "Remember that …" or "Remember for 30 days that …"; None for others.

        Raises TooLarge.
        """
        match = _FACT.match(task) if "facts" in self.kinds else None
        if not match or match["text"].endswith("?"):  # "Remember that order?"
            return None
        if len(match["text"]) > MAX_FACT:
            raise TooLarge(f"A fact has at most {MAX_FACT} characters, not {len(match['text']):,}.")
        seconds = int(match["count"]) * _SECONDS[match["unit"].lower()] if match["count"] else None
        return self._add(owner, "facts", match["text"], "user", seconds)

    def add_example(self, owner: str, run: str, task: str, plan: Sequence[Step]) -> None:
        """Remember the plan of a run that had a confident answer."""
        steps = "; ".join(f"{step.id} {step.specialist}: {step.task}" for step in plan)
        if steps and "examples" in self.kinds:
            self._add(owner, "examples", f"Task: {task}\nPlan: {steps}", run)

    def notes(self, owner: str, task: str, limit: int = 3) -> list[str]:
        """The facts and examples that share the most, and the rarest, words with a task."""
        texts = [item.text for item in self.items(owner)]
        bags, words = [_words(text) for text in texts], _words(task)
        counts = Counter(word for bag in bags for word in bag)
        weights = {word: math.log(1 + len(texts) / counts[word]) for word in words & counts.keys()}
        scores = [sum(weights[word] for word in words & bag) / (4 + len(bag)) for bag in bags]
        best = sorted(range(len(texts)), key=lambda index: -scores[index])
        return [texts[index] for index in best[:limit] if scores[index] > 0]

    def items(self, owner: str) -> list[Item]:
        """What is remembered of an owner and has not expired, newest first."""
        query = sa.select(*(_items.c[name] for name in Item.model_fields))
        kinds = self.kinds - {"thread"}  # whose tasks are those of the runs
        query = query.where(_items.c.owner == owner, _items.c.kind.in_(kinds), ~_expired())
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(_items.c.created_at.desc()))
            return [Item.model_validate(dict(row)) for row in rows.mappings()]

    def forget(self, owner: str, id: str | None = None) -> None:
        """Erase an item, or all of an owner. Raises NotFound, also for an item of another owner."""
        query = sa.delete(_items).where(_items.c.owner == owner)
        query = query if id is None else query.where(_items.c.id == id)
        with writing(self._engine) as connection:
            if not connection.execute(query).rowcount and id is not None:
                raise NotFound(f"Unknown memory {id!r}.")

    def _add(
        self, owner: str, kind: Kind, text: str, source: str, seconds: int | None = None
    ) -> str:
        now, text = time.time(), redact_secrets(text)[:MAX_TEXT]
        row: dict[str, Any] = {"id": f"m{secrets.token_hex(6)}", "owner": owner, "kind": kind}
        row |= {"text": text, "source": source, "created_at": now}
        same = sa.and_(_items.c.owner == owner, _items.c.kind == kind)
        newest = sa.select(_items.c.id).where(same).order_by(_items.c.created_at.desc())
        surplus = same & _items.c.id.not_in(newest.limit(MAX_ITEMS))
        with writing(self._engine) as connection:
            row["expires_at"] = seconds and now + seconds
            connection.execute(sa.insert(_items).values(row))
            connection.execute(sa.delete(_items).where(_expired() | surplus))
        return text


def _expired() -> sa.ColumnElement[bool]:
    return sa.func.coalesce(_items.c.expires_at, 1e18) <= time.time()


def _words(text: str) -> set[str]:
    """The words that matter, without the plural's s."""
    words = re.findall(r"\w+", text.casefold())
    return {word.removesuffix("s") for word in words if word not in _STOP_WORDS}
