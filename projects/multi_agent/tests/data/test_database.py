import sqlite3
import subprocess
import sys
from contextlib import closing

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


def test_parquet_file_is_queried(tmp_path):
    path = tmp_path / "sales.parquet"
    duckdb.sql("SELECT 1 AS id, 2.5::DECIMAL(5, 2) AS price").write_parquet(str(path))
    with open_database(path) as database:
        assert database.query("SELECT price FROM sales").rows == ((2.5,),)


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


def test_numbers_that_json_lacks_are_null(tmp_path):
    (tmp_path / "one.csv").write_text("n\n1\n")
    with open_database(tmp_path) as database:
        assert database.query("SELECT 'inf'::DOUBLE, 'nan'::DOUBLE, n FROM one").rows == (
            (None, None, 1),
        )


@pytest.mark.parametrize("column", ["colour", "interrupted", "busy", "readonly"])
def test_error_of_a_query_has_the_engines_message(shop, column):
    with pytest.raises(BadInput, match=f"no such column: {column}"):
        shop.query(f"SELECT {column} FROM orders")


def test_query_that_cannot_be_encoded_is_bad_input(shop):
    with pytest.raises(BadInput, match="surrogates"):
        shop.query("SELECT '\ud800'")


def test_file_that_replaces_another_one_is_read(tmp_path):
    path = tmp_path / "numbers.sqlite"
    for number in (1, 2):
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"CREATE TABLE numbers AS SELECT {number} AS n")
        with open_database(path) as database:
            assert database.query("SELECT n FROM numbers").rows == ((number,),)


def test_copy_of_loaded_files_is_deleted(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "temporary").mkdir()
    write_csv(tmp_path / "data")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with open_database(tmp_path / "data"):
        assert len(list((tmp_path / "temporary").iterdir())) == 1
    (tmp_path / "data" / "broken.csv").write_bytes(b"a,b\n\xff\xfe\x00,1\n")
    with pytest.raises(BadInput, match=r"broken\.csv"):
        open_database(tmp_path / "data")
    assert not list((tmp_path / "temporary").iterdir())


def test_na_is_no_value_in_columns_of_numbers_dates_and_flags(tmp_path):
    (tmp_path / "flights.csv").write_text(
        "minutes,day,late,price\n10,2025-01-01,true,1.5\nNA,NA,n/a,None\n30,2025-01-03,false,\n"
    )
    with open_database(tmp_path) as database:
        assert database.query("SELECT avg(minutes), max(day) FROM flights").rows == (
            (20.0, "2025-01-03"),
        )
        assert database.query("SELECT * FROM flights").rows[1] == (None, None, None, None)


def test_dates_and_numbers_keep_their_format_beside_na(tmp_path):
    (tmp_path / "visits.csv").write_text(
        "day,at,cost\n13/01/2025,13/01/2025 10:00:00,-1.5e3\nNA,NA,NA\n"
    )
    with open_database(tmp_path) as database:
        assert database.query("SELECT * FROM visits").rows == (
            ("2025-01-13", "2025-01-13 10:00:00", -1500.0),
            (None, None, None),
        )


def test_na_is_a_value_in_columns_of_texts(tmp_path):
    (tmp_path / "countries.csv").write_text(
        'code,name,motto\nDE,Germany,\nNA,Namibia,""\nNO,null,None\n,N/A,"a, ""b"""\n'
    )
    with open_database(tmp_path) as database:
        assert database.query("SELECT * FROM countries").rows == (
            ("DE", "Germany", None),
            ("NA", "Namibia", None),
            ("NO", "null", "None"),
            (None, "N/A", 'a, "b"'),
        )


def test_text_far_down_in_a_column_of_numbers_is_read(tmp_path):
    rows = "".join(f"{n}\n" for n in range(50_000))
    (tmp_path / "codes.csv").write_text(f"code\n{rows}N14\n")
    with open_database(tmp_path) as database:
        assert database.query("SELECT max(code) FROM codes").rows == (("N14",),)


def test_file_that_is_not_a_database_is_bad_input(tmp_path):
    path = tmp_path / "notes.db"
    path.write_text("just some notes, not a database at all")
    with pytest.raises(BadInput, match="not a database"):
        open_database(path)


def test_damaged_file_is_bad_input(tmp_path):
    path = tmp_path / "broken.sqlite"
    path.write_bytes(b"SQLite format 3\x00" + b"x" * 5000)
    with pytest.raises(BadInput, match=r"not a database|malformed"):
        open_database(path)


def test_missing_file_and_empty_folder_are_bad_input(tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        open_database(tmp_path / "none.sqlite")
    with pytest.raises(BadInput, match="no CSV"):
        open_database(tmp_path)


def test_database_without_tables_is_bad_input(tmp_path):
    path = tmp_path / "empty.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("DROP TABLE t")
    with pytest.raises(BadInput, match="no tables"):
        open_database(path)


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
