"""Keys: made, found, limited, revoked, and seen by other processes."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update
from starlette.datastructures import Headers

from llm_service.config import Config
from llm_service.store import tables
from llm_service.store.database import Database, open_database
from llm_service.store.keys import LOCAL, KeyStore, _stamp
from seedbed.errors import BadInput, NotFound, Unauthorized
from seedbed.server.keys import Keys


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
    expires = datetime.now(UTC) + timedelta(days=1)
    given: dict[str, Any] = {
        "scopes": ["admin"],
        "models": ["a,b", "ü"],
        "rpm": 6,
        "tpm": 70_000_000_000,
        "concurrency": 8,
        "budget_usd": 0.5,
        "team": "x",
        "team_budget_usd": 5,
        "expires": expires,
    }
    key, secret = store.create("anna", **given)
    found = KeyStore(database, Keys()).find(secret)
    assert found == key
    assert {name: getattr(found, name) for name in given} == given | {
        "scopes": {"admin"},
        "models": ("a,b", "ü"),
    }


def test_a_team_shares_one_budget(store: KeyStore) -> None:
    first, _ = store.create("a", team="x", team_budget_usd=5)
    second, _ = store.create("b", team="x")
    assert second.team_budget_usd == 5
    store.create("c", team="x", team_budget_usd=7)
    assert store.get(first.id).team_budget_usd == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a\0b"},
        {"name": "\ud800"},
        {"name": "a\nb"},
        {"name": " a"},
        {"name": "a" * 101},
        {"rpm": 0},
        {"rpm": -1},
        {"rpm": 1.5},
        {"rpm": True},
        {"tpm": 10**30},
        {"concurrency": 0},
        {"budget_usd": 0},
        {"budget_usd": float("nan")},
        {"budget_usd": float("inf")},
        {"scopes": []},
        {"scopes": ["root"]},
        {"models": ["\0"]},
        {"team": "\udfff"},
        {"team_budget_usd": 5},
        {"expires": datetime(2001, 1, 1, tzinfo=UTC)},
        {"expires": datetime(2001, 1, 1)},
    ],
)
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


def test_rotated_key_keeps_its_id_and_limits_and_both_secrets_work(
    store: KeyStore, database: Database
) -> None:
    key, old = store.create("anna", rpm=6, budget_usd=0.5)
    rotated, new = store.rotate("anna")
    assert rotated == key and new != old
    for reader in (store, KeyStore(database, Keys())):
        assert reader.find(old) == reader.find(new) == key
    assert [k.id for k in store.list()] == [key.id]
    store.rotate(key.id)
    assert store.find(old) is None, "only the last secret has a grace period"
    assert store.find(new) == key
    store.revoke("anna")
    with pytest.raises(Unauthorized, match="revoked"):
        store.find(new)
    with pytest.raises(NotFound):
        store.rotate("anna")


def test_old_secret_of_a_rotated_key_expires(store: KeyStore) -> None:
    _, old = store.create("anna")
    key, new = store.rotate("anna", grace_hours=0)
    with pytest.raises(Unauthorized, match="'anna' was replaced"):
        store.find(old)
    assert store.find(new) == key
    for hours in (-1, float("nan"), 10**6):
        with pytest.raises(BadInput, match="grace"):
            store.rotate("anna", hours)
    with pytest.raises(BadInput, match="SEEDBED_API_KEYS"):
        KeyStore(store.database, Keys.parse("ops=secret")).rotate("ops")


def test_two_processes_do_not_take_one_name(tmp_path: Path) -> None:
    stores = [KeyStore(open_database(Config(data_dir=tmp_path)), Keys()) for _ in range(4)]
    outcomes: list[str] = []

    def create(store: KeyStore) -> None:
        try:
            outcomes.append(store.create("anna")[0].name)
        except BadInput:
            outcomes.append("taken")

    threads = [threading.Thread(target=create, args=[store]) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["anna", "taken", "taken", "taken"]


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


def test_stands_where_the_keys_of_seedbed_stand(store: KeyStore, database: Database) -> None:
    assert not store and store.caller(Headers({})) == "local" and store.get("local") is LOCAL
    key, secret = store.create("anna")
    assert store.caller(Headers({"authorization": f"Bearer {secret}"})) == key.id
    assert store.caller(Headers({"x-api-key": secret})) == key.id
    for headers in ({}, {"authorization": "Bearer sk-sb-wrong"}, {"x-api-key": "\xff"}):
        with pytest.raises(Unauthorized):
            store.caller(Headers(headers))
    with pytest.raises(NotFound):
        store.get("local")
    static = KeyStore(database, Keys.parse("ops=secret"))
    assert static.caller(Headers({"x-api-key": "secret"})) == "ops"
    assert static.get("ops").may("admin")
    with pytest.raises(BadInput, match="SEEDBED_API_KEYS"):
        static.create("ops")
    with pytest.raises(BadInput, match="SEEDBED_API_KEYS"):
        static.revoke("ops")


def test_another_process_s_changes_are_seen_at_once(store: KeyStore) -> None:
    code = f"""
from pathlib import Path
from llm_service.config import Config
from llm_service.store.database import open_database
from llm_service.store.keys import KeyStore
from seedbed.server.keys import Keys
store = KeyStore(open_database(Config(data_dir=Path({str(store.database.data_dir)!r}))), Keys())
print(store.create("anna")[1], store.create("ben")[1], flush=True)
input()
store.revoke("anna")
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        anna, ben = process.stdout.readline().split()
        assert store.find(anna) is not None and store.find(ben) is not None
        process.communicate("\n", timeout=50)
    with pytest.raises(Unauthorized):
        store.find(anna)
    assert store.find(ben) is not None


def test_a_lost_database_leaves_known_keys_working(store: KeyStore) -> None:
    _, secret = store.create("anna")
    data_dir = store.database.data_dir
    (data_dir / "service.db").write_bytes(b"not a database" * 1000)
    (data_dir / "keys.changed").write_text("changed")
    store.database.close()
    store._looked = 0.0  # it looks at once, not after 5 ms
    assert store.find(secret) is not None


def test_finding_a_key_asks_no_database_and_seldom_the_file_system(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(50):
        _, secret = store.create(f"key {n}")
    looks = 0

    def counted(path: str) -> tuple[int, int] | None:
        nonlocal looks
        looks += 1
        return _stamp(path)

    monkeypatch.setattr("llm_service.store.keys._stamp", counted)
    store.database.close()
    monkeypatch.setattr(store, "database", SimpleNamespace(is_sqlite=True))
    started = time.monotonic()
    for _ in range(2000):
        assert store.find(secret) is not None
    assert looks <= 1 + (time.monotonic() - started) / 0.005


def test_two_changes_in_one_tick_of_the_file_system_are_both_seen(tmp_path: Path) -> None:
    reader, writer = (KeyStore(open_database(Config(data_dir=tmp_path)), Keys()) for _ in range(2))
    for n in range(3):
        _, secret = writer.create(f"key {n}")
        os.utime(tmp_path / "keys.changed", (1, 1))
        time.sleep(0.006)  # it looks at the file 200 times a second, at most
        assert reader.find(secret) is not None


def test_columns_hold_no_secret(store: KeyStore, database: Database) -> None:
    _, secret = store.create("anna")
    with database.reading() as connection:
        row = connection.execute(select(tables.keys)).one()
    assert secret not in str(row)
