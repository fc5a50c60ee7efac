"""A clinic with traps: cents, roles of a reference, a link table, patients without visits."""

import sqlite3
from pathlib import Path

import pytest

from multi_agent.data.database import Database, open_database
from multi_agent.offline.sql.question import QuestionParser

SCRIPT = """
CREATE TABLE patients (id INTEGER PRIMARY KEY, first_name TEXT, last_name TEXT, sex TEXT,
                       city TEXT, country TEXT, birth_date TEXT, is_insured INTEGER);
CREATE TABLE doctors (id INTEGER PRIMARY KEY, name TEXT, specialty TEXT, manager_id INTEGER,
                      salary_eur INTEGER, hired_on TEXT);
CREATE TABLE visits (id INTEGER PRIMARY KEY, patient_id INTEGER REFERENCES patients(id),
                     doctor_id INTEGER REFERENCES doctors(id),
                     visited_on TEXT, status TEXT, fee_cents INTEGER, minutes INTEGER);
CREATE TABLE drugs (id INTEGER PRIMARY KEY, name TEXT, category TEXT, price_cents INTEGER);
CREATE TABLE visit_drugs (visit_id INTEGER REFERENCES visits(id),
                          drug_id INTEGER REFERENCES drugs(id),
                          quantity INTEGER, unit_price_cents INTEGER);
CREATE TABLE transfers (id INTEGER PRIMARY KEY, origin_id INTEGER REFERENCES doctors(id),
                        target_id INTEGER REFERENCES doctors(id), moved_on TEXT);
INSERT INTO patients VALUES
 (1, 'Anna', 'Berg', 'F', 'Oslo', 'NO', '1950-03-01', 1),
 (2, 'Bo', 'Lund', 'M', 'Oslo', 'NO', '1990-07-12', 0),
 (3, 'Carla', 'Rossi', 'F', 'Rome', 'IT', '1984-01-30', 1),
 (4, 'Dirk', 'Maas', 'M', 'Rome', 'IT', '2001-11-05', 1);
INSERT INTO doctors VALUES
 (1, 'Dr. Holm', 'cardiology', NULL, 90000, '2010-05-01'),
 (2, 'Dr. Vogt', 'dermatology', 1, 70000, '2018-02-01'),
 (3, 'Dr. Sand', 'cardiology', 1, 60000, '2021-09-15');
INSERT INTO visits VALUES
 (1, 1, 1, '2024-01-10', 'completed', 5000, 30), (2, 1, 1, '2024-05-02', 'completed', 7000, 45),
 (3, 1, 2, '2025-02-03', 'no-show', 0, 15), (4, 2, 2, '2025-02-20', 'completed', 4000, 20),
 (5, 3, 1, '2025-03-05', 'cancelled', 0, 30), (6, 3, 2, '2025-03-09', 'completed', 12000, 60);
INSERT INTO drugs VALUES (1, 'Aspirin', 'pain', 500), (2, 'Zyrtec', 'allergy', 900),
 (3, 'Statin', 'heart', 2000);
INSERT INTO visit_drugs VALUES (1, 1, 2, 450), (2, 1, 1, 500), (2, 3, 1, 2000), (6, 2, 3, 800);
INSERT INTO transfers VALUES (1, 1, 2, '2024-02-02'), (2, 2, 1, '2024-03-03'),
 (3, 1, 2, '2025-01-01');
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
