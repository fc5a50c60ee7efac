import sqlite3

import duckdb
import pytest

from multi_agent.data.database import open_database
from seedbed.errors import BadInput, DeadlineExceeded, Unavailable


def write_csv(folder):
    (folder / "cities.csv").write_text("city_id,name,founded_on\n1,Oslo,1048-01-01\n2,Rome,\n")
    (folder / "people.csv").write_text("person_id,city_id,name\n1,1,Anna\n2,1,Bo\n")


def test_sqlite_file_is_queried(clinic):
    rows = clinic.query("SELECT id, name FROM doctors ORDER BY id", max_rows=2)
    assert rows.columns == ("id", "name")
    assert rows.rows == ((1, "Dr. Holm"), (2, "Dr. Vogt"))
    assert rows.truncated


def test_folder_of_csv_files_has_a_table_per_file(tmp_path):
    write_csv(tmp_path)
    with open_database(tmp_path) as database:
        assert {table.name for table in database.schema.tables} == {"cities", "people"}
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
        "DELETE FROM visits",
        "DROP TABLE visits",
        "ATTACH 'other.db' AS other",
        "PRAGMA journal_mode = WAL",
        "SELECT 1; SELECT 2",
        "SELECT zeroblob(900000000)",
        "",
    ],
)
def test_anything_but_a_harmless_select_is_refused(clinic, sql):
    with pytest.raises(BadInput):
        clinic.query(sql)
    assert clinic.query("SELECT count(*) FROM visits").rows == ((6,),)


def test_error_of_a_query_has_the_engines_message(clinic):
    with pytest.raises(BadInput, match="no such column: colour"):
        clinic.query("SELECT colour FROM doctors")


def test_endless_query_is_stopped(clinic):
    sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(DeadlineExceeded, match=r"0\.1 s"):
        clinic.query(sql, seconds=0.1)


def test_endless_query_of_loaded_files_is_stopped(tmp_path):
    write_csv(tmp_path)
    sql = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
    with open_database(tmp_path) as database, pytest.raises(DeadlineExceeded):
        database.query(sql, seconds=0.2)


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


def test_locked_database_is_unavailable(clinic_file):
    other = sqlite3.connect(clinic_file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unavailable, match="locked"):
        open_database(clinic_file)
    other.close()
