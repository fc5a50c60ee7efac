"""SQLite and SQLAlchemy engines: concurrent opening, locks, full disks, damage, wrong URLs."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from seedbed.database.sql_engine import sql_engine
from seedbed.database.sqlite import open_sqlite, sqlite_error, sqlite_errors
from seedbed.errors import Busy, ConfigError, MissingExtra, Unavailable


def errors_of(path: Path):
    return sqlite_errors(path, setting="APP_DATA_DIR", damaged="Restore a backup.")


def test_open_sqlite_creates_a_file_from_many_threads(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def open_and_write(_: int) -> None:
        together.wait()
        connection = open_sqlite(tmp_path / "a", foreign_keys=1)
        connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER)")
        connection.execute("INSERT INTO t VALUES (1)")
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        connection.close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(open_and_write, range(8)))
    assert open_sqlite(tmp_path / "a").execute("SELECT count(*) FROM t").fetchone() == (8,)


def write_while_locked(path: Path) -> None:
    with closing(open_sqlite(path)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        open_sqlite(path, busy_seconds=0.01).execute("BEGIN IMMEDIATE")


def write_to_a_full_disk(path: Path) -> None:
    connection = open_sqlite(path, max_page_count=2)
    connection.execute("CREATE TABLE t (text TEXT)")
    connection.execute("INSERT INTO t VALUES (zeroblob(100000))")


def write_read_only(path: Path) -> None:
    open_sqlite(path, query_only=1).execute("CREATE TABLE t (n INTEGER)")


def open_garbage(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)
    open_sqlite(path)


@pytest.mark.parametrize(
    ("fail", "kind", "text"),
    [
        (write_while_locked, Busy, "is locked by another process"),
        (write_to_a_full_disk, Unavailable, "Cannot write .* full.*Free some space"),
        (write_read_only, Unavailable, "Cannot open .*APP_DATA_DIR"),
        (open_garbage, Unavailable, "is damaged: file is not a database. Restore a backup"),
    ],
)
def test_sqlite_errors_names_file_reason_and_next_step(
    tmp_path: Path, fail: Callable[[Path], None], kind: type[Exception], text: str
) -> None:
    path = tmp_path / "app.sqlite"
    with pytest.raises(kind, match=text) as caught, errors_of(path):
        fail(path)
    assert "app.sqlite" in str(caught.value) and "\n" not in str(caught.value)


def test_sqlite_errors_raises_mistakes_in_statements_unchanged(tmp_path: Path) -> None:
    connection = open_sqlite(tmp_path / "a")
    with pytest.raises(sqlite3.OperationalError, match="no such table"), errors_of(tmp_path):
        connection.execute("SELECT * FROM full_disk_locked")
    assert sqlite_error(None, "a", setting="", damaged="") is None


def test_sql_engine_begins_transactions_with_the_given_statement(tmp_path: Path) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    engine = sql_engine(tmp_path / "100% ü?#&.db", busy_seconds=0.01)
    with engine.connect() as first, engine.connect() as second:
        first = first.execution_options(begin="BEGIN IMMEDIATE")
        first.execute(sqlalchemy.text("CREATE TABLE t (n INTEGER)"))
        assert second.execute(sqlalchemy.text("SELECT count(*) FROM sqlite_master")).scalar() == 0
        second.rollback()
        second = second.execution_options(begin="BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="is locked by another process"):
            second.execute(sqlalchemy.text("SELECT 1"))
        first.rollback()  # the table too: it was created inside the transaction
    with engine.connect() as connection:
        assert sqlalchemy.inspect(connection).get_table_names() == []


@pytest.mark.parametrize(
    "url", ["", "nonsense", "postgresql://u:geheim@h:port/d", "mysql://u:geheim@h/d", "sqlite://"]
)
def test_sql_engine_names_setting_or_extra_and_hides_the_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sqlalchemy")
    with pytest.raises(
        ConfigError, match=r"^SEEDBED_DATABASE_URL .*postgresql://USER@HOST/NAME"
    ) as caught:
        sql_engine(url)
    assert "geheim" not in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'app\[postgres\]'"):
        sql_engine("postgres://u@127.0.0.1/d", extra="app[postgres]")
