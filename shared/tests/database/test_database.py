"""Databases of projects: several in one Postgres, opened by several processes at once, locked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from seedbed.errors import Busy, Unavailable
from seedbed.testing.launch import closed_port, launch_postgres, new_database

sa = pytest.importorskip("sqlalchemy")

from seedbed.database.database import open_database, reading, upsert, writing  # noqa: E402
from seedbed.database.locks import open_locks  # noqa: E402

POSTGRES = pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.timeout(120)])
HOLD = """
import sys
from pathlib import Path
from seedbed.database.locks import open_locks
locks = open_locks(sys.argv[1] or None, Path(sys.argv[2]), "app")
print(locks.acquire("upkeep"), flush=True)
sys.stdin.readline()
"""


def tables(*names: str) -> Any:
    metadata = sa.MetaData()
    for name in names:
        columns = [sa.Column("id", sa.String, primary_key=True), sa.Column("n", sa.Integer)]
        sa.Table(name, metadata, *columns)
    return metadata


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    with launch_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", POSTGRES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str | None, Path]:
    """The URL of an empty database, None for a file; and the file."""
    url = None
    if request.param == "postgres":
        url = new_database(request.getfixturevalue("server"))
    return url, tmp_path / "data" / "app.sqlite"


def test_processes_open_at_once_and_count_exactly(place: Any) -> None:
    url, file = place
    metadata = tables("events")

    def work(_: int) -> None:
        engine = open_database(url, file, "app", metadata, durable=True)
        for _ in range(20):
            with writing(engine) as connection:
                row = {"id": "a", "n": 1}
                connection.execute(upsert(connection, metadata.tables["events"], row, ["n"]))
        engine.dispose()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    with reading(open_database(url, file, "app", metadata)) as connection:
        assert connection.execute(sa.select(metadata.tables["events"].c.n)).scalar() == 80


def test_failed_transaction_writes_nothing(place: Any) -> None:
    metadata = tables("events")
    engine = open_database(*place, "app", metadata)
    with pytest.raises(ZeroDivisionError), writing(engine, durable=True) as connection:
        connection.execute(sa.insert(metadata.tables["events"]).values(id="a"))
        raise ZeroDivisionError
    with reading(engine, isolation_level="AUTOCOMMIT") as connection:
        assert not connection.execute(sa.select(metadata.tables["events"])).all()


@pytest.mark.slow
def test_projects_share_a_database_with_tables_of_the_same_name(server: Any) -> None:
    url = new_database(server)
    engines = [open_database(url, Path("x"), name, tables("events")) for name in ("one", "two")]
    with writing(engines[0]) as connection:
        connection.execute(sa.text("INSERT INTO events VALUES ('a', 1)"))
    again = [open_database(url, Path("x"), name, tables("events")) for name in ("one", "two")]
    counts = []
    for engine in again:
        with reading(engine) as connection:
            counts.append(connection.execute(sa.text("SELECT count(*) FROM events")).scalar())
    assert counts == [1, 0]


@pytest.mark.slow
def test_tables_of_an_older_version_stay_in_use(server: Any) -> None:
    url = new_database(server)
    old = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with old.begin() as connection:
        tables("events", "runs").create_all(connection)
        connection.execute(sa.text("INSERT INTO events VALUES ('old', 1)"))
    with reading(open_database(url, Path("x"), "app", tables("events", "runs"))) as connection:
        assert connection.execute(sa.text("SELECT id FROM events")).scalar() == "old"


def test_database_that_is_down_is_named_without_its_password() -> None:
    with closed_port() as port, pytest.raises(Unavailable) as caught:
        open_database(f"postgresql://me:geheim@127.0.0.1:{port}/d", Path("x"), "app", tables("a"))
    assert "SEEDBED_DATABASE_URL" in str(caught.value) and "geheim" not in str(caught.value)
    with pytest.raises(Unavailable, match="APP_DIR"):
        file = Path("/proc/none/app.sqlite")
        open_database(None, file, "app", tables("a"), folder_setting="APP_DIR")


def test_sqlite_file_that_is_locked_is_busy(tmp_path: Path) -> None:
    engine = open_database(None, tmp_path / "a.sqlite", "app", tables("a"))
    with writing(engine), pytest.raises(Busy), engine.connect() as other:
        other.exec_driver_sql("PRAGMA busy_timeout = 10")
        other.rollback()
        other.execution_options(begin="BEGIN IMMEDIATE").execute(sa.text("SELECT 1"))


def test_lock_is_held_until_its_process_ends(place: Any, tmp_path: Path) -> None:
    url = place[0]
    command = [sys.executable, "-c", HOLD, url or "", str(tmp_path)]
    locks = open_locks(url, tmp_path, "app")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "True\n"
        assert not locks.acquire("upkeep") and locks.acquire("other")
        process.kill()
    acquire: Callable[[str], bool] = locks.acquire
    while not acquire("upkeep"):  # Postgres notices that the session has ended
        pass
    locks.check()
    locks.release("upkeep")
