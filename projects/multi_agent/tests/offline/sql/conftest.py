"""A clinic with traps: cents, two references to one table, a link table, names of many columns."""

import sqlite3
from pathlib import Path

import pytest

from multi_agent.data.database import Database, open_database
from multi_agent.offline.sql.question import QuestionParser

SCRIPT = """
CREATE TABLE patients (id INTEGER PRIMARY KEY, first_name TEXT, last_name TEXT, city TEXT,
                       birth_date TEXT, email TEXT, is_insured INTEGER);
CREATE TABLE wards (id INTEGER PRIMARY KEY, name TEXT, beds INTEGER, floor INTEGER);
CREATE TABLE doctors (id INTEGER PRIMARY KEY, name TEXT, specialty TEXT, salary_eur INTEGER,
                      ward_id INTEGER REFERENCES wards(id), hired_on TEXT, left_on TEXT);
CREATE TABLE visits (id INTEGER PRIMARY KEY, patient_id INTEGER REFERENCES patients(id),
                     doctor_id INTEGER REFERENCES doctors(id),
                     visited_on TEXT, status TEXT, fee_cents INTEGER, minutes INTEGER);
CREATE TABLE drugs (id INTEGER PRIMARY KEY, name TEXT, category TEXT, price_cents INTEGER);
CREATE TABLE visit_drugs (visit_id INTEGER REFERENCES visits(id),
                          drug_id INTEGER REFERENCES drugs(id), quantity INTEGER);
CREATE TABLE transfers (id INTEGER PRIMARY KEY, origin_id INTEGER REFERENCES wards(id),
                        target_id INTEGER REFERENCES wards(id), ordered_on TEXT, moved_on TEXT);
INSERT INTO patients VALUES
 (1, 'Anna', 'Berg', 'Oslo', '1950-03-01', 'a@x.example', 1),
 (2, 'Bo', 'Lund', 'Oslo', '1990-07-12', NULL, 0),
 (3, 'Carla', 'Rossi', 'Rome', '1984-01-30', 'c@x.example', 1),
 (4, 'Dirk', 'Maas', 'Rome', '2001-11-05', 'd@x.example', 1);
INSERT INTO wards VALUES (1, 'Cardiology', 20, 1), (2, 'Dermatology', 8, 2);
INSERT INTO doctors VALUES
 (1, 'Dr. Holm', 'cardiology', 90000, 1, '2010-05-01', NULL),
 (2, 'Dr. Vogt', 'dermatology', 70000, 2, '2018-02-01', NULL),
 (3, 'Dr. Sand', 'cardiology', 60000, 1, '2021-09-15', '2024-12-31');
INSERT INTO visits VALUES
 (1, 1, 1, '2024-01-10', 'completed', 5000, 30), (2, 1, 1, '2024-05-02', 'completed', 7000, 45),
 (3, 1, 2, '2025-02-03', 'no-show', 0, 15), (4, 2, 2, '2025-02-20', 'completed', 4000, 20),
 (5, 3, 1, '2025-03-05', 'cancelled', 0, 30), (6, 3, 1, '2025-03-09', 'completed', 12000, 60);
INSERT INTO drugs VALUES (1, 'Aspirin', 'pain', 500), (2, 'Zyrtec', 'allergy', 900),
 (3, 'Statin', 'heart', 2000), (4, 'Ibuprofen', 'pain', 700);
INSERT INTO visit_drugs VALUES (1, 1, 2), (2, 1, 1), (2, 3, 1), (6, 2, 3);
INSERT INTO transfers VALUES (1, 1, 2, '2024-02-01', '2024-02-02'),
 (2, 2, 1, '2024-03-01', '2024-03-03'), (3, 1, 2, '2024-12-30', '2025-01-01');
"""


@pytest.fixture
def clinic_file(tmp_path: Path) -> Path:
    path = tmp_path / "clinic.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCRIPT)
    connection.close()
    return path


@pytest.fixture
def clinic(clinic_file: Path):
    with open_database(clinic_file) as database:
        yield database


@pytest.fixture
def ask(clinic: Database):
    """Rows for a question, or the Parse if it has a problem."""
    parser = QuestionParser(clinic)

    def rows(question: str):
        parse = parser.parse(question)
        return parse if parse.problem else [list(row) for row in clinic.query(parse.sql).rows]

    return rows
