import sqlite3
from contextlib import closing

import pytest

from multi_agent.data.database import open_database
from multi_agent.offline.sql.schema import describe, name_words


def columns(database, table):
    return {column.name: column for column in describe(database).tables[table].columns}


def test_kinds_and_units_are_read_from_names_and_values(clinic):
    patients, doctors = columns(clinic, "patients"), columns(clinic, "doctors")
    assert patients["birth_date"].kind == "date"
    assert patients["is_insured"].kind == "flag"
    assert doctors["salary_eur"].kind == "number"
    assert doctors["salary_eur"].unit == "eur"
    assert doctors["ward_id"].kind == "reference"
    assert columns(clinic, "drugs")["price_cents"].unit == "cent"


def test_label_names_a_row_to_people(clinic):
    labels = {t.name: [c.name for c in t.label] for t in describe(clinic).tables.values()}
    assert labels["patients"] == ["first_name", "last_name"]
    assert labels["doctors"] == ["name"]
    assert labels["visits"] == ["id"]


def test_name_of_someone_else_is_not_the_label(tmp_path):
    (tmp_path / "leases.csv").write_text("lease_id,tenant_name\nL1,Ann\nL2,Bob\n")
    with open_database(tmp_path) as database:
        assert describe(database).tables["leases"].label[0].name == "lease_id"


@pytest.mark.parametrize("name", ["city_id", "city", "cityId"])
def test_undeclared_key_is_inferred_from_its_name(tmp_path, name):
    (tmp_path / "cities.csv").write_text("city_id,name\n1,Oslo\n2,Rome\n")
    (tmp_path / "people.csv").write_text(f"id,{name}\n1,1\n2,1\n")
    with open_database(tmp_path) as database:
        keys = {(k.table, k.column, k.target) for k in describe(database).foreign_keys}
    assert keys == ({("people", name, "cities")} if name != "city" else set())


def test_photos_are_not_read(tmp_path):
    path = tmp_path / "people.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, photo BLOB, age INTEGER)")
        connection.execute("INSERT INTO people VALUES (1, zeroblob(3000000), 42)")
        connection.commit()
    with open_database(path) as database:
        assert columns(database, "people").keys() == {"id", "age"}


def test_paths_go_from_many_to_one_and_return_every_way(clinic):
    schema = describe(clinic)
    ways = schema.paths("transfers", "wards")
    assert {path[0].column for path in ways} == {"origin_id", "target_id"}
    assert len(schema.paths("visits", "wards")[0]) == 2
    assert schema.paths("wards", "transfers") == ()
    assert schema.paths("wards", "wards") == ((),)


def test_names_are_split():
    assert name_words("OrderDate") == ("order", "date")
    assert name_words("tbl_order_no") == ("order", "no")
