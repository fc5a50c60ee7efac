import subprocess
import sys

import duckdb
import pytest

from multi_agent.data.database import open_database
from seedbed.errors import BadInput, Unavailable

LOCK = """
import sys, {engine} as engine
connection = engine.connect(sys.argv[1])
connection.execute("CREATE TABLE items (id INTEGER)")
{more}
print("locked", flush=True)
sys.stdin.read()
"""


def write_csv(folder):
    (folder / "cities.csv").write_text("city_id,name,founded_on\n1,Oslo,1048-01-01\n2,Rome,\n")
    (folder / "people.csv").write_text("person_id,city_id,name\n1,1,Anna\n2,1,Bo\n")


def test_sqlite_file_is_queried(shop):
    rows = shop.query("SELECT id, status, photo FROM orders JOIN customers USING (id)", max_rows=2)
    assert rows.columns == ("id", "status", "photo")
    assert rows.rows == ((1, "open", "<0 bytes>"), (2, "paid", "<1 bytes>"))
    assert rows.truncated and rows.tables == ("customers", "orders")
    assert not shop.query("SELECT * FROM orders").truncated


def test_folder_of_csv_files_has_a_table_per_file(tmp_path):
    write_csv(tmp_path)
    with open_database(tmp_path) as database:
        assert set(database.schema.columns) == {"cities", "people"}
        assert database.query("SELECT name, founded_on FROM cities ORDER BY 1").rows == (
            ("Oslo", "1048-01-01"),
            ("Rome", None),
        )


def test_duckdb_file_is_opened_for_reading(tmp_path):
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO items VALUES (1, 'lamp')")
    with open_database(path) as database:
        assert database.query("SELECT name FROM items").rows == (("lamp",),)
        with pytest.raises(BadInput, match="SELECT"):
            database.query("DELETE FROM items")


def test_loaded_files_give_no_access_to_other_files(tmp_path):
    (tmp_path / "secret.txt").write_text("password")
    (tmp_path / "data").mkdir()
    write_csv(tmp_path / "data")
    with open_database(tmp_path / "data") as database:
        with pytest.raises(BadInput):
            database.query(f"SELECT * FROM read_text('{tmp_path / 'secret.txt'}')")
        with pytest.raises(BadInput):
            database.query("SET enable_external_access = true")


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM orders",
        "DROP TABLE orders",
        "ATTACH 'other.db' AS other",
        "PRAGMA journal_mode = WAL",
        "SELECT 1; SELECT 2",
        "SELECT zeroblob(900000000)",
        "",
    ],
)
def test_anything_but_a_harmless_select_is_refused(shop, sql):
    with pytest.raises(BadInput):
        shop.query(sql)
    assert shop.query("SELECT count(*) FROM orders").rows == ((30,),)


@pytest.mark.parametrize("column", ["colour", "interrupted", "busy", "readonly"])
def test_error_of_a_query_has_the_engines_message(shop, column):
    with pytest.raises(BadInput, match=f"no such column: {column}"):
        shop.query(f"SELECT {column} FROM orders")


def test_file_that_is_not_a_database_is_bad_input(tmp_path):
    path = tmp_path / "notes.db"
    path.write_text("just some notes, not a database at all")
    with pytest.raises(BadInput, match="not a database"):
        open_database(path)


def test_missing_file_and_empty_folder_are_bad_input(tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        open_database(tmp_path / "none.sqlite")
    with pytest.raises(BadInput, match="no CSV"):
        open_database(tmp_path)


@pytest.mark.parametrize(
    "lock",
    [
        LOCK.format(engine="duckdb", more=""),
        LOCK.format(engine="sqlite3", more="connection.execute('BEGIN EXCLUSIVE')"),
    ],
    ids=["duckdb", "sqlite"],
)
def test_database_locked_by_another_process_is_unavailable(tmp_path, lock):
    command = [sys.executable, "-c", lock, tmp_path / "shop.db"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        with pytest.raises(Unavailable, match="locked"):
            open_database(tmp_path / "shop.db")
