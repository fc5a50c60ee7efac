from multi_agent.data.database import open_database


def columns(database, table):
    return {column.name: column for column in database.schema.table(table).columns}


def test_kinds_are_read_from_names_and_values(clinic):
    patients, doctors = columns(clinic, "patients"), columns(clinic, "doctors")
    assert patients["birth_date"].kind == "date"
    assert patients["is_insured"].kind == "flag"
    assert doctors["salary_eur"].kind == "number"
    assert doctors["salary_eur"].unit == "eur"
    assert columns(clinic, "drugs")["price_cents"].unit == "cents"


def test_line_with_quantity_and_price_has_a_revenue(clinic):
    assert "quantity * unit_price_cents" in columns(clinic, "visit_drugs")


def test_label_names_a_row_to_people(clinic):
    labels = {t.name: [c.name for c in t.label] for t in clinic.schema.tables}
    assert labels["patients"] == ["first_name", "last_name"]
    assert labels["doctors"] == ["name"]
    assert labels["visits"] == ["id"]


def test_undeclared_keys_are_inferred_from_names(tmp_path):
    (tmp_path / "cities.csv").write_text("city_id,name\n1,Oslo\n2,Rome\n")
    (tmp_path / "people.csv").write_text("id,city_id,manager_id\n1,1,\n2,1,1\n")
    with open_database(tmp_path) as database:
        keys = {(k.table, k.column, k.target) for k in database.schema.foreign_keys}
    assert keys == {("people", "city_id", "cities"), ("people", "manager_id", "people")}


def test_paths_go_from_many_to_one_and_show_every_role(clinic):
    schema = clinic.schema
    doctors, transfers = schema.table("doctors"), schema.table("transfers")
    assert {path[0].column for path in schema.paths(transfers, doctors)} == {
        "origin_id",
        "target_id",
    }
    assert schema.paths(doctors, transfers) == ()


def test_base_of_two_tables_is_what_refers_to_both(clinic):
    schema = clinic.schema
    base = schema.base(schema.table("patients"), schema.table("doctors"))
    assert base is not None
    assert base.name == "visits"


def test_text_for_a_model_names_columns_and_keys(clinic):
    assert "visits (6 rows): id number" in clinic.schema.text
    assert "patient_id -> patients.id" in clinic.schema.text
