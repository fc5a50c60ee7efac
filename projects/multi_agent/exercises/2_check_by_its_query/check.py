"""Checks of exercise 2: which answers a query supports, over a small shop."""

import sqlite3
import tempfile
from pathlib import Path

from multi_agent.answer import verify
from multi_agent.config import Config
from multi_agent.data.database import open_database
from multi_agent.runs.state import Evidence, Result
from multi_agent.specialists import Workspace

FOLDER = tempfile.TemporaryDirectory()
PATH = Path(FOLDER.name) / "shop.sqlite"
with sqlite3.connect(PATH) as connection:
    connection.execute("CREATE TABLE tents AS SELECT 'Marmot' AS name, 2150 AS grams, -12.5 AS m")
    connection.execute("INSERT INTO tents VALUES ('Base Camp', 8400, 0.07)")
SHOP = Workspace(Config(), open_database(PATH))
NAMES = "SELECT name, grams FROM tents ORDER BY grams DESC"
DAYS = """WITH RECURSIVE days(n) AS (SELECT COUNT(*) / 2 FROM tents UNION ALL
    SELECT n + 1 FROM days WHERE n < 25) SELECT n, 'day ' || n FROM days ORDER BY n"""


def expect(part: str, sql: str, answer: str, number: float | None, shop: Workspace = SHOP) -> None:
    """The problem must have this part; "" if the answer is right, " " for any problem."""
    evidence = Evidence(kind="query", source="shop", text=sql, output=answer)
    result = Result(step="s1", answer=answer, number=number, evidence=(evidence,))
    problem = verify.check_query(evidence, result, shop)
    case = f"{sql!r}, answer {answer!r}, number {number}: expected the problem {part!r}"
    assert part in problem and (part or not problem), f"{case}, got {problem!r}"


def check_1_without_a_database_nothing_can_be_checked() -> None:
    expect(" ", NAMES, "Base Camp, Marmot", None, Workspace(Config()))


def check_2_the_query_is_run_again() -> None:
    expect("price", "SELECT price FROM tents", "Marmot", None)
    expect("3", "SELECT COUNT(*) FROM tents", "3", 3)
    expect(" ", "SELECT 9999", "9,999", 9999)


def check_3_the_texts_of_the_first_rows_are_in_the_answer() -> None:
    expect("", NAMES, "**base  camp** and\n`MARMOT`", None)
    expect("Marmot", NAMES, "Base Camp", None)
    expect("", DAYS, ", ".join(f"day {n}" for n in range(1, 21)), None)
    expect("day 20", DAYS, ", ".join(f"day {n}" for n in range(1, 20)), None)


def check_4_the_number_is_a_value_of_the_first_rows() -> None:
    expect("", NAMES, "2,150 g", 2150)
    for number in (-2150, 215000, 2, 2151):
        expect(f"{number:,}", NAMES, f"{number:,} g", number)
    expect("21", DAYS, "21", 21)


def check_5_the_answer_has_the_number_or_a_rounded_one() -> None:
    expect("", "SELECT SUM(grams) FROM tents", "Of 2 tents: 10,550 g", 10550)
    expect("", "SELECT m FROM tents", "a loss of 12.499 EUR", -12.5)
    expect("0.03", "SELECT m FROM tents", "0.03 EUR", 0.07)
