"""The database: opened by several at once, migrated, on SQLite and on a real Postgres."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from starlette.datastructures import Headers

from llm_service.config import Config
from llm_service.gateway.limits.admission import Admission, OverBudget
from llm_service.store import feedback
from llm_service.store.accounting import Accounting, Record
from llm_service.store.database import Database, open_database
from llm_service.store.keys import Key, KeyStore
from llm_service.store.usage import report
from seedbed.errors import (
    BadInput,
    ConfigError,
    Unauthorized,
    Unavailable,
)
from seedbed.server.keys import Keys
from seedbed.testing.launch import closed_port, new_database

NOW = datetime.now(UTC)


def config(folder: Path, url: str | None = None) -> Config:
    return Config(data_dir=folder, database_url=None if url is None else SecretStr(url))


@pytest.fixture
def postgres(postgres_server: Any, tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(config(tmp_path, new_database(postgres_server)))) as database:
        yield database


OPEN = """
import sys
from pathlib import Path
from pydantic import SecretStr
from llm_service.config import Config
from llm_service.store.database import open_database
url = SecretStr(sys.argv[2]) if sys.argv[2:] else None
sys.stdin.readline()
open_database(Config(data_dir=Path(sys.argv[1]), database_url=url))
"""


def _open_together(*arguments: list[str]) -> None:
    command, pipe = [sys.executable, "-c", OPEN], subprocess.PIPE
    with ExitStack() as stack:
        processes = []
        for argv in arguments:
            process = subprocess.Popen([*command, *argv], stdin=pipe, stderr=pipe, text=True)
            stack.callback(process.kill)
            processes.append(stack.enter_context(process))
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            _, complaint = process.communicate(timeout=100)
            assert process.returncode == 0, complaint


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_processes_that_start_together_make_the_tables_once(tmp_path: Path) -> None:
    _open_together(*[[str(tmp_path)]] * 3)
    assert report(open_database(config(tmp_path)), "key") == []


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    database = open_database(config(tmp_path))
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="newer version"):
        open_database(config(tmp_path))


def test_a_server_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with closed_port() as port:
        url = f"postgres://me:geheim@127.0.0.1:{port}/db"
        with pytest.raises(Unavailable, match=r"me:\*\*\*@127\.0\.0\.1") as error:
            open_database(config(tmp_path, url))
    assert "geheim" not in str(error.value) and "\n" not in str(error.value)


def test_a_folder_that_can_not_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="SERVICE_DATA_DIR"):
        open_database(config(tmp_path / "file" / "data"))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_postgres_is_migrated_by_several_at_once(postgres_server: Any, tmp_path: Path) -> None:
    url = new_database(postgres_server)
    _open_together(*[[str(tmp_path / str(n)), url] for n in range(3)])
    database = open_database(config(tmp_path, url))
    assert report(database, "key") == []
    database.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_known_keys_do_not_wait_for_a_database_that_hangs(postgres: Database) -> None:
    store = KeyStore(postgres, Keys())
    _, known = store.create("anna")
    _, unread = KeyStore(postgres, Keys()).create("ben")
    with postgres.writing() as lock:
        lock.execute(text("LOCK TABLE keys IN ACCESS EXCLUSIVE MODE"))  # a reader waits for its end
        started = time.monotonic()
        with pytest.raises(Unavailable, match="not responding"):  # it may be a valid one
            await store.caller(Headers({"x-api-key": unread}))
        assert await store.caller(Headers({"x-api-key": known}))
        assert time.monotonic() - started < 10
    with store._reading:  # the reading in the thread has ended
        pass
    assert await store.caller(Headers({"x-api-key": unread}))


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_everything_works_on_postgres(postgres: Database) -> None:
    store = KeyStore(postgres, Keys())
    key, secret = store.create("anna", tpm=10**11, team="x", team_budget_usd=1.0, models=["m"])
    with pytest.raises(BadInput):
        store.create("anna")
    assert store.find(secret) == KeyStore(postgres, Keys()).find(secret) == key
    common: dict[str, Any] = {"team": "x", "user": "a\0b", "model": "m", "cost_usd": 0.05}
    common |= {"prompt_tokens": 2**40, "messages": "[]", "answer": "ü"}
    accounting = Accounting(postgres, keep_content="rated")
    for n in range(20):
        accounting.add(Record(f"r{n}", f"x{n}", NOW, key.id, seconds=n + 1.0, **common))
    await accounting.start()
    assert await asyncio.to_thread(accounting.flush, 30)
    await accounting.stop()
    feedback.add(postgres, "x3", "down")
    feedback.add(postgres, "x3", "up", 0.5, "good")
    assert [row["score"] for row in feedback.export(postgres)] == [0.5]
    for by in ("key", "model", "day"):
        (row,) = report(postgres, by)
        assert (row["n"], row["p50_seconds"], row["p95_seconds"]) == (20, 10.0, 19.0)
        assert row["prompt_tokens"] == 20 * 2**40 and row["cost_usd"] == pytest.approx(1.0)
    other = Key("other", "ben", team="x", team_budget_usd=1.0)
    admission = Admission(postgres, clock=NOW.timestamp)  # in the month of the records
    with pytest.raises(OverBudget):
        await admission.enter(other, "m", prompt_tokens=1, cost_usd=0.01)
    store.revoke("anna")
    with pytest.raises(Unauthorized):
        store.find(secret)
