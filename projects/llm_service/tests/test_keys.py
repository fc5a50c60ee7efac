"""Keys: made, found, limited, revoked, and seen by other processes."""

from __future__ import annotations

import asyncio
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from service_fakes import serving
from sqlalchemy import update
from starlette.datastructures import Headers

from llm_service.config import Config
from llm_service.store import tables
from llm_service.store.database import Database, open_database
from llm_service.store.keys import LOCAL, Key, KeyStore
from seedbed.errors import BadInput, NotFound, Unauthorized, Unavailable
from seedbed.server.callers import LOCAL as LOCAL_CALLER
from seedbed.server.keys import Keys
from seedbed.testing.provider import launch_provider


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(Config(data_dir=tmp_path / "data"))


@pytest.fixture
def store(database: Database) -> KeyStore:
    return KeyStore(database, Keys())


def test_a_key_is_shown_once_and_only_its_hash_is_stored(store: KeyStore) -> None:
    key, secret = store.create("anna")
    assert re.fullmatch(r"sk-sb-[\w-]{43}", secret)
    assert store.find(secret) == key == store.get(key.id)
    assert key.scopes == {"chat", "embeddings"}
    assert key.may("chat") and not key.may("admin")
    data = b"".join(path.read_bytes() for path in store.database.data_dir.iterdir())
    assert secret.encode() not in data and secret[6:].encode() not in data
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in data


def test_limits_come_back_as_given(store: KeyStore, database: Database) -> None:
    limits: dict[str, Any] = {"rpm": 6, "tpm": 70_000_000_000, "concurrency": 8}
    limits |= {"budget_usd": 0.5, "team": "x", "team_budget_usd": 5, "models": ("a,b", "ü")}
    limits |= {"scopes": {"admin"}, "expires": datetime.now(UTC) + timedelta(days=1)}
    key, secret = store.create("anna", **limits)
    found = KeyStore(database, Keys()).find(secret)
    assert found == key
    assert {name: getattr(found, name) for name in limits} == limits


def test_a_team_shares_one_budget(store: KeyStore) -> None:
    first, _ = store.create("a", team="x", team_budget_usd=5)
    second, _ = store.create("b", team="x")
    assert second.team_budget_usd == 5
    store.create("c", team="x", team_budget_usd=7)
    assert store.get(first.id).team_budget_usd == 7


WRONG: dict[str, list[Any]] = {
    "name": ["", "a\0b", "\ud800", "a\nb", " a", "a" * 101],
    "rpm": [0, -1, 1.5, True],
    "tpm": [10**30],
    "concurrency": [0],
    "budget_usd": [0, float("nan"), float("inf")],
    "scopes": [[], ["root"]],
    "models": [["\0"]],
    "team": ["\udfff"],
    "team_budget_usd": [5],
    "expires": [datetime(2001, 1, 1, tzinfo=UTC), datetime(2001, 1, 1)],
}


@pytest.mark.parametrize("wrong", [{name: v} for name, values in WRONG.items() for v in values])
def test_a_wrong_limit_is_refused(store: KeyStore, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        store.create(**{"name": "anna", **wrong})
    assert store.list() == [] and not store


def test_a_name_is_taken_until_its_key_is_revoked(store: KeyStore) -> None:
    key, _ = store.create("anna")
    with pytest.raises(BadInput, match="'anna'"):
        store.create("anna")
    assert store.revoke("anna").revoked is not None
    again, _ = store.create("anna")
    assert [k.id for k in store.list()] == [key.id, again.id]
    with pytest.raises(NotFound):
        store.revoke(key.id)
    assert store.revoke(again.id).id == again.id


def test_a_name_that_is_the_id_of_another_key_changes_that_key_alone(store: KeyStore) -> None:
    key, _ = store.create("anna")
    store.create(key.id)
    assert store.update(key.id, rpm=5).name == store.revoke(key.id).name == "anna"
    assert [k.name for k in store.list() if k.revoked is None] == [key.id]


def test_updated_limits_apply_and_the_others_stay(store: KeyStore, database: Database) -> None:
    key, secret = store.create("anna", rpm=6, budget_usd=0.5, team="x", team_budget_usd=1)
    store.create("ben", team="x")
    updated = store.update("anna", budget_usd=20.0, team_budget_usd=2.5)
    for reader in (store, KeyStore(database, Keys())):
        assert reader.find(secret) == updated
    assert (updated.id, updated.rpm, updated.budget_usd) == (key.id, 6, 20.0)
    assert {k.team_budget_usd for k in store.list()} == {2.5}
    with pytest.raises(BadInput, match="budget_usd"):
        store.update("anna", budget_usd=-1)
    with pytest.raises(BadInput, match="needs a team"):
        store.update(store.create("cleo")[0].id, team_budget_usd=5)
    with pytest.raises(NotFound):
        store.update("nobody", rpm=5)


def test_changes_by_two_operators_at_once_both_apply(store: KeyStore, database: Database) -> None:
    class Late(KeyStore):
        def _active(self, id_or_name: str) -> Key:
            key = super()._active(id_or_name)
            meanwhile()
            return key

    key, _ = store.create("anna")
    late = Late(database, Keys())
    meanwhile = lambda: store.update("anna", rpm=7)  # noqa: E731
    late.update("anna", tpm=9)
    assert (store.get(key.id).rpm, late.get(key.id).rpm, late.get(key.id).tpm) == (7, 7, 9)
    meanwhile = lambda: store.revoke("anna")  # noqa: E731
    with pytest.raises(NotFound, match="No active key"):
        late.rotate("anna")


def test_rotated_key_keeps_its_id_and_limits(store: KeyStore, database: Database) -> None:
    key, old = store.create("anna", rpm=6, budget_usd=0.5)
    rotated, new = store.rotate("anna")
    assert rotated == key and new != old
    for reader in (store, KeyStore(database, Keys())):
        assert reader.find(new) == key and reader.find(old) is None
    store.revoke("anna")
    with pytest.raises(NotFound):
        store.rotate("anna")
    with pytest.raises(BadInput, match="SEEDBED_API_KEYS"):
        KeyStore(store.database, Keys.parse("ops=secret")).rotate("ops")


def test_two_processes_do_not_take_one_name(tmp_path: Path) -> None:
    stores = [KeyStore(open_database(Config(data_dir=tmp_path)), Keys()) for _ in range(4)]

    def create(store: KeyStore) -> str:
        try:
            return store.create("anna")[0].name
        except BadInput:
            return "taken"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(create, stores)) == ["anna", "taken", "taken", "taken"]


def test_revoked_and_expired_keys_are_unauthorized_and_say_so(
    store: KeyStore, database: Database
) -> None:
    _, secret = store.create("anna")
    store.revoke("anna")
    with pytest.raises(Unauthorized, match="'anna' was revoked"):
        store.find(secret)
    assert store, "a revoked key must not open the server to everyone"
    soon = (datetime.now(UTC) + timedelta(hours=1)).replace(tzinfo=None)
    _, secret = store.create("ben", expires=soon)
    assert store.find(secret) is not None, "without a time zone it is UTC"
    past = datetime.now(UTC) - timedelta(hours=1)
    with database.writing() as connection:
        connection.execute(
            update(tables.keys).where(tables.keys.c.name == "ben").values(expires=past)
        )
    with pytest.raises(Unauthorized, match="'ben' expired"):
        KeyStore(database, Keys()).find(secret)


def header(secret: str) -> Headers:
    return Headers({"x-api-key": secret})


async def test_caller_is_the_id_of_a_valid_key(store: KeyStore, database: Database) -> None:
    assert (
        not store
        and await store.caller(Headers({})) is LOCAL_CALLER
        and store.get("local") is LOCAL
    )
    key, secret = store.create("anna")
    assert (await store.caller(Headers({"authorization": f"Bearer {secret}"}))).name == key.id
    assert (await store.caller(header(secret))).name == key.id
    for headers in (Headers({}), Headers({"authorization": "Bearer sk-sb-wrong"}), header("\xff")):
        with pytest.raises(Unauthorized):
            await store.caller(headers)
    with pytest.raises(NotFound):
        store.get("local")
    static = KeyStore(database, Keys.parse("ops=secret"))
    assert (await static.caller(header("secret"))).name == "ops"
    assert static.get("ops").may("admin")
    for change in (static.create, static.revoke):
        with pytest.raises(BadInput, match="SEEDBED_API_KEYS"):
            change("ops")


async def test_changes_by_another_process_apply_within_a_second(
    store: KeyStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_service.store.keys._REREAD_SECONDS", 0.01)
    store.create("first")
    other = KeyStore(database, Keys())
    key, secret = other.create("anna")
    assert (await store.caller(header(secret))).name == key.id, (
        "an unknown key is looked for at once"
    )
    other.revoke("anna")
    watching = asyncio.create_task(store.watch())
    while store.get(key.id).revoked is None:
        await asyncio.sleep(0.01)
    watching.cancel()
    with pytest.raises(Unauthorized, match="revoked"):
        await store.caller(header(secret))


async def test_a_lost_database_leaves_known_keys_working(store: KeyStore) -> None:
    key, secret = store.create("anna")
    store.database.close()
    (store.database.data_dir / "service.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(Unavailable):
        await store.caller(header("sk-sb-unknown"))
    assert (await store.caller(header(secret))).name == key.id


async def test_person_who_signs_in_may_chat_and_has_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with launch_provider({"alice": ["it"], "bob": ["admins"]}) as provider:
        settings = {**provider.environment, "SEEDBED_OIDC_OPERATORS": "group:admins"}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        tokens = {name: provider.token(name) for name in ("alice", "bob")}
        async with serving(tmp_path) as served:
            assert (await served.chat()).status_code == 401
            assert (await served.chat(key=tokens["alice"])).status_code == 200
            headers = {"authorization": f"Bearer {tokens['alice']}"}
            refused = await served.client.get("/admin/usage", headers=headers)
            assert refused.status_code == 403
            assert await asyncio.to_thread(served.gateway.accounting.flush, 30)
            headers = {"authorization": f"Bearer {tokens['bob']}"}
            usage = (await served.client.get("/admin/usage", headers=headers)).json()
            assert [(row["key"], row["n"]) for row in usage["rows"]] == [("alice", 1)]
