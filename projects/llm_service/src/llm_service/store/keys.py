"""API keys with scopes, limits and budgets: created, listed, revoked, and found for each request.

Only the sha256 of a secret is stored.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError
from starlette.datastructures import Headers

from llm_service.config import Config
from llm_service.store import tables
from llm_service.store.database import Database, open_database
from llm_service.store.key_limits import KeyLimits, Scope, parse_limits, printable
from seedbed.database.database import upsert
from seedbed.errors import BadInput, NotFound, SeedbedError, Unauthorized, Unavailable
from seedbed.server.callers import LOCAL as LOCAL_CALLER
from seedbed.server.callers import Caller
from seedbed.server.keys import Keys, presented_key
from seedbed.settings import Settings

log = logging.getLogger(__name__)
_REREAD_SECONDS = 1.0
_PATIENCE = 0.2  # seconds that a request with an unknown key waits for the database


@dataclass(frozen=True)
class Key(KeyLimits):
    """A key with its limits, which were checked when it was created."""

    id: str
    name: str
    created: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    revoked: datetime | None = None

    def may(self, scope: str) -> bool:
        return scope in self.scopes


ALL_SCOPES = frozenset[Scope]({"chat", "embeddings", "admin"})
LOCAL = Key("local", "local", scopes=ALL_SCOPES)
"""The caller of a server without any keys."""


class KeyStore:
    """The keys of a database and the `static` ones of SEEDBED_API_KEYS (all scopes, id = name).

    All are in memory. While `watch` runs, changes by other processes apply within a second; an
    unknown key is looked for in the database at once.
    """

    def __init__(self, database: Database, static: Keys) -> None:
        self.database = database
        self._static = {
            digest.hex(): Key(
                id=caller.name,
                name=caller.name,
                scopes=ALL_SCOPES if caller.operator else ALL_SCOPES - {"admin"},
            )
            for digest, caller in static.callers.items()
        }
        self._reading = threading.Lock()
        self._failed = False  # the last reading
        self._by_digest: dict[str, Key] = {}
        self._by_id: dict[str, Key] = {}
        self._load()

    def create(self, name: str, **limits: Any) -> tuple[Key, str]:
        """A new key and its secret, which is shown once: it is not stored.

        `limits` are the fields of `KeyLimits`; `team_budget_usd` becomes the budget of the whole
        team. Raises BadInput.
        """
        if any(name == key.name for key in self._static.values()):
            raise BadInput(
                f"Key name {name!r} is already used in SEEDBED_API_KEYS.", hint="Use another name."
            )
        key = _new_key(name, parse_limits(limits))
        secret = _new_secret()
        try:
            with self.database.writing() as connection:
                row = _columns(key) | {"digest": _digest(secret)}
                connection.execute(tables.keys.insert().values(row))
                self._set_team_budget(connection, key)
        except IntegrityError:
            raise BadInput(
                f"A key named {name!r} already exists.",
                hint="Use another name, or revoke it first.",
            ) from None
        self._load()
        return self.get(key.id), secret

    def rotate(self, id_or_name: str) -> tuple[Key, str]:
        """The key and a new secret for it, which replaces the old one.

        Limits, budget and usage stay with the key. Raises NotFound as `revoke` does.
        """
        secret = _new_secret()
        return self._update(self._active(id_or_name), {"digest": _digest(secret)}), secret

    def update(self, id_or_name: str, **limits: Any) -> Key:
        """Change limits of an active key, e.g. to raise its budget; None leaves one as it is.

        It applies from the next request on. Raises BadInput, and NotFound as `revoke` does.
        """
        changes = {name: value for name, value in limits.items() if value is not None}
        key = self._active(id_or_name)
        new = parse_limits({f.name: getattr(key, f.name) for f in fields(KeyLimits)} | changes)
        row = _columns(new)
        # Only what changes: another operator may be changing the rest.
        values = {name: row[name] for name in changes if name in row}
        return self._update(key, values, new if "team_budget_usd" in changes else None)

    def list(self) -> list[Key]:
        """All keys, also revoked ones, oldest first; the static ones before."""
        return sorted(self._by_id.values(), key=lambda key: key.created)

    def revoke(self, id_or_name: str) -> Key:
        """Revoke a key. Raises NotFound if no active key has this id or name."""
        return self._update(self._active(id_or_name), {"revoked": datetime.now(UTC)})

    def _set_team_budget(self, connection: Connection, limits: KeyLimits) -> None:
        if limits.team_budget_usd is not None:
            team = {"name": limits.team, "budget_usd": limits.team_budget_usd}
            connection.execute(upsert(connection, tables.teams, team))

    def _active(self, id_or_name: str) -> Key:
        """The active key of the database with this id or, if none has it, this name."""
        if any(id_or_name == key.name for key in self._static.values()):
            raise BadInput(
                f"Key {id_or_name!r} is defined in SEEDBED_API_KEYS and cannot be changed here.",
                hint="Change it there and restart the server.",
            )
        self._load()
        named = [k for k in self.list() if k.revoked is None and id_or_name in (k.id, k.name)]
        if not named:
            raise _not_found(id_or_name)
        return min(named, key=lambda key: key.id != id_or_name)

    def _update(self, key: Key, values: dict[str, Any], team: KeyLimits | None = None) -> Key:
        """Write columns of a key and the budget of its team; both, or with an error neither."""
        column = tables.keys.c
        change = update(tables.keys).where(column.id == key.id, column.revoked.is_(None))
        with self.database.writing() as connection:
            if team is not None:
                self._set_team_budget(connection, team)
            if values and not connection.execute(change.values(values)).rowcount:
                raise _not_found(key.name)  # it was revoked meanwhile
        self._load()
        return self.get(key.id)

    def find(self, secret: str) -> Key | None:
        """The key that this secret belongs to, or None. Unauthorized if it is revoked or expired.

        It is looked up by its hash, so that the time reveals nothing about other secrets.
        """
        key = self._by_digest.get(_digest(secret))
        if key is None:
            return None
        if key.revoked is not None:
            raise _refused(f"Key {key.name!r} was revoked.", "Request a new one.")
        if key.expires is not None and key.expires <= datetime.now(UTC):
            raise _refused(
                f"Key {key.name!r} expired at {key.expires:%Y-%m-%d %H:%M} UTC.",
                "Request a new one.",
            )
        return key

    def of(self, caller: Caller) -> Key:
        """The key of a caller. A person who signed in has one of that name, without limits."""
        if caller.claims:
            scopes = ALL_SCOPES if caller.operator else ALL_SCOPES - {"admin"}
            return Key(caller.name, caller.name, scopes=scopes)
        return self.get(caller.name)

    def get(self, id: str) -> Key:
        """The key with this id, also a revoked one. Raises NotFound."""
        if key := self._by_id.get(id):
            return key
        if id == LOCAL.id and not self._by_id:
            return LOCAL
        raise NotFound(f"No key with the id {id!r}.")

    async def caller(self, headers: Headers) -> Caller:
        """The caller, named by the id of its key; Unauthorized without a valid one, Unavailable for
        an unknown one while the database does not respond.

        LOCAL while there are no keys, as `seedbed.server.keys.Keys` returns.
        """
        if not self:
            return LOCAL_CALLER
        secret = presented_key(headers)
        key = self.find(secret)
        if key is None and secret:
            # In a thread of its own: neither this loop nor an exit may wait for it.
            loop, done = asyncio.get_running_loop(), asyncio.Event()

            def read() -> None:
                self._reload(secret)
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(done.set)

            threading.Thread(target=read, daemon=True).start()
            with suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), _PATIENCE)
            key = self.find(secret)
            if key is None and (self._failed or not done.is_set()):
                raise Unavailable("The database with the API keys is not responding.")
        if key is None:
            raise _refused("Missing or invalid API key.", "Send `Authorization: Bearer KEY`.")
        return Caller(key.id, operator=key.may("admin"))

    def __contains__(self, name: object) -> bool:
        return name in self._by_id

    def __bool__(self) -> bool:
        return bool(self._by_id)

    async def watch(self) -> None:
        """Read the keys again each second, until it is cancelled."""
        while True:
            await asyncio.sleep(_REREAD_SECONDS)
            await asyncio.to_thread(self._reload)

    def _reload(self, secret: str = "") -> None:
        """Read the keys again; those of the last reading stay in use if that fails.

        With a secret only if the database has it: a client with a wrong one costs one look-up.
        """
        if not self._reading.acquire(timeout=2 * _PATIENCE):
            return  # an earlier reading hangs
        try:
            if not secret or self._has(secret):
                self._load()
            self._failed = False
        except SeedbedError as error:
            if not self._failed:
                log.warning("Cannot reload the keys: %s", error)
            self._failed = True
        finally:
            self._reading.release()

    def _has(self, secret: str) -> bool:
        digest = tables.keys.c.digest
        with self.database.reading() as connection:
            return bool(connection.execute(select(digest).where(digest == _digest(secret))).all())

    def _load(self) -> None:
        keys, teams = tables.keys, tables.teams
        query = select(keys, teams.c.budget_usd.label("team_budget_usd")).outerjoin(
            teams, keys.c.team == teams.c.name
        )
        with self.database.reading() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        by_digest = dict(self._static)
        for row in rows:
            row["scopes"] = frozenset(row["scopes"].split(","))
            row["models"] = tuple(json.loads(row["models"]))
            digest = row.pop("digest")
            by_digest[digest] = Key(**row)
        # In this order: a key that `find` returns in another thread, `get` returns as well.
        self._by_id = {key.id: key for key in by_digest.values()}
        self._by_digest = by_digest


def open_keys(config: Config, settings: Settings) -> KeyStore:
    """The keys there are, in a database that is up to date; its errors are `open_database`'s."""
    return KeyStore(open_database(config), Keys.parse(settings.api_keys.get_secret_value()))


def _not_found(id_or_name: str) -> NotFound:
    message = f"No active key with the id or name {id_or_name!r}."
    return NotFound(message, hint="List all keys with: llm-service keys list")


def _refused(message: str, hint: str) -> Unauthorized:
    error = Unauthorized(message, hint=hint)
    error.details["code"] = "invalid_api_key"
    return error


def _columns(limits: KeyLimits) -> dict[str, Any]:
    """The values of a key or of its limits as the table has them."""
    row = {f.name: getattr(limits, f.name) for f in fields(limits) if f.name in tables.keys.c}
    return row | {"scopes": ",".join(sorted(limits.scopes)), "models": json.dumps(limits.models)}


def _new_secret() -> str:
    return f"sk-sb-{secrets.token_urlsafe(32)}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _new_key(name: str, limits: KeyLimits) -> Key:
    if not printable(name):
        raise BadInput("Key name must not be empty.")
    values = {field.name: getattr(limits, field.name) for field in fields(limits)}
    return Key(f"key-{secrets.token_hex(6)}", name, created=datetime.now(UTC), **values)
