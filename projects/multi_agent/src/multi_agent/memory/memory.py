"""What is remembered between runs: the tasks of a thread, facts, and past tasks as examples.

    memory = Memory(store.engine, "thread,facts,episodes")
    memory.learn("Remember that our VAT is 19 %.")
    memory.relevant("What is the VAT on 250 EUR?", k=3)     # [Item(text="our VAT is 19 %", …)]

A fact is stored only when the user says so, never from a document or a tool. Secrets are redacted.
"""

from __future__ import annotations

import math
import re
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import sqlalchemy as sa

from multi_agent.offline.plan.follow_up import complete
from multi_agent.runs.store import create_tables, open_engine
from multi_agent.state import Answer, Step, Value
from seedbed.errors import ConfigError, NotFound, TooLarge
from seedbed.safety.secrets import redact_secrets

Kind = Literal["thread", "facts", "episodes"]
MAX_FACT = 500  # characters
MAX_TEXT = 2_000  # characters of other items, which are cut
MAX_ITEMS = 1_000  # of each kind; the oldest make room
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
    """Something remembered. The text of an episode has the task, its plan and the answer."""

    id: str
    kind: Kind
    text: str
    source: str
    """The thread of the run, or "user" for a fact."""
    created_at: datetime
    expires_at: datetime | None = None


class Memory:
    """The memory in a database; kinds that are off are neither written nor read.

    >>> memory = Memory(Path("memory.sqlite"))
    >>> memory.learn("Remember for 30 days that the Berlin shop is closed.").text
    'the Berlin shop is closed'
    >>> [item.text for item in memory.relevant("Is the shop in Berlin open?")]
    ['the Berlin shop is closed']
    """

    def __init__(
        self, engine: sa.Engine | str | Path, kinds: str = "thread,facts,episodes"
    ) -> None:
        self.kinds = set(re.findall(r"[^\s,]+", kinds))
        if unknown := self.kinds - set(get_args(Kind)):
            available = f"Available: {', '.join(get_args(Kind))}."
            raise ConfigError(f"AGENTS_MEMORY: unknown kind {min(unknown)!r}.", hint=available)
        if not isinstance(engine, sa.Engine):
            engine = open_engine(engine)
        self._reading = engine
        self._engine = engine.execution_options(begin="BEGIN IMMEDIATE")
        create_tables(engine, _metadata)

    def learn(self, task: str, owner: str = "") -> Item | None:
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

    def add_run(
        self, thread: str, task: str, plan: Sequence[Step], answer: Answer, owner: str = ""
    ) -> None:
        """Remember a run: as the last task of its thread, and as an example if it succeeded."""
        if "thread" in self.kinds:
            self._add(owner, "thread", task, thread)
        if "episodes" in self.kinds and plan and answer.confident and not answer.missing:
            steps = "; ".join(f"{step.id} {step.specialist}: {step.task}" for step in plan)
            text = f"Task: {task}\nPlan: {steps}\nAnswer: {answer.text}"
            self._add(owner, "episodes", text, thread)

    def follow_up(self, thread: str, task: str, owner: str = "") -> str:
        """A short follow-up ("And in 2024?") completed from the last task of the thread."""
        last = self.items("thread", source=thread, limit=1, owner=owner)
        return complete(last[0].text, task) if last else task

    def relevant(self, task: str, k: int = 3, owner: str = "") -> list[Item]:
        """The k facts and episodes that share the most, and the rarest, words with a task."""
        items = [*self.items("facts", owner=owner), *self.items("episodes", owner=owner)]
        bags, words = [_words(item.text) for item in items], _words(task)
        counts = Counter(word for bag in bags for word in bag)
        scores = [
            sum(math.log(1 + len(items) / counts[word]) for word in words & bag) / (4 + len(bag))
            for bag in bags
        ]
        best = sorted(range(len(items)), key=lambda index: -scores[index])
        return [items[index] for index in best[:k] if scores[index] > 0]

    def items(
        self,
        kind: Kind | None = None,
        *,
        owner: str = "",
        source: str | None = None,
        limit: int = MAX_ITEMS,
    ) -> list[Item]:
        """What is remembered and has not expired, newest first, of the kinds that are on."""
        kinds = self.kinds & {kind} if kind else self.kinds
        query = sa.select(_items).where(_items.c.owner == owner)
        query = query.where(_items.c.kind.in_(kinds), ~_expired())
        query = query.where(_items.c.source == source) if source is not None else query
        with self._reading.connect() as connection:
            rows = connection.execute(query.order_by(_items.c.created_at.desc()).limit(limit))
            return [_item(row) for row in rows.mappings()]

    def forget(self, id: str, owner: str = "") -> None:
        """Erase an item. Raises NotFound, also for an item of another owner."""
        own = (_items.c.id == id, _items.c.owner == owner)
        with self._engine.begin() as connection:
            if not connection.execute(sa.delete(_items).where(*own)).rowcount:
                raise NotFound(f"Unknown memory {id!r}.")

    def forget_all(self, owner: str = "") -> None:
        """Erase everything of an owner, also of kinds that are off."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_items).where(_items.c.owner == owner))

    def _add(
        self, owner: str, kind: Kind, text: str, source: str, seconds: int | None = None
    ) -> Item:
        now, text = time.time(), redact_secrets(text)[:MAX_TEXT]
        row: dict[str, Any] = {"id": f"m{secrets.token_hex(6)}", "kind": kind, "text": text}
        row |= {"source": source, "created_at": now, "expires_at": seconds and now + seconds}
        row |= {"owner": owner}
        of_kind = sa.and_(_items.c.kind == kind, _items.c.owner == owner)
        newest = sa.select(_items.c.id).where(of_kind).order_by(_items.c.created_at.desc())
        surplus = of_kind & _items.c.id.not_in(newest.limit(MAX_ITEMS))
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_items).values(row))
            connection.execute(sa.delete(_items).where(_expired() | surplus))
        return _item(row)


def _item(row: Mapping[Any, Any]) -> Item:
    return Item.model_validate({name: row[name] for name in Item.model_fields})


def _expired() -> sa.ColumnElement[bool]:
    return sa.func.coalesce(_items.c.expires_at, 1e18) <= time.time()


def _words(text: str) -> set[str]:
    """The words that matter, without the plural's s."""
    words = re.findall(r"\w+", text.casefold())
    return {word.removesuffix("s") for word in words if word not in _STOP_WORDS}
