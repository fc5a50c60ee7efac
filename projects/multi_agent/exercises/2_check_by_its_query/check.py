"""Checks of exercise 2: which answers a query supports, over a small shop."""

import sqlite3
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from multi_agent.answer import verify
from multi_agent.config import Config
from multi_agent.data.database import open_database
from multi_agent.runs.state import Evidence, Result
from multi_agent.specialists import Workspace
from seedbed.errors import Unavailable

FOLDER = tempfile.TemporaryDirectory()
TENTS = [("Marmot", 2150, 31999), ("Base Camp", 8400, 54900)]
NAMES = "SELECT name FROM tents ORDER BY grams DESC"
STEPS = "SELECT n, 'step ' || n FROM steps ORDER BY n"


def open_shop() -> Workspace:
    path = Path(FOLDER.name) / "shop.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE tents (name TEXT, grams INTEGER, cents INTEGER)")
    connection.executemany("INSERT INTO tents VALUES (?, ?, ?)", TENTS)
    connection.execute("CREATE TABLE steps (n INTEGER)")
    connection.executemany("INSERT INTO steps VALUES (?)", [(n,) for n in range(101, 126)])
    connection.commit()
    connection.close()
    return Workspace(Config(), open_database(path))


SHOP = open_shop()


def check(
    sql: str,
    answer: str,
    number: float | None = None,
    *,
    output: str = "",
    workspace: Workspace = SHOP,
) -> str:
    evidence = Evidence(kind="query", source="shop", text=sql, output=output)
    result = Result(step="s1", answer=answer, number=number, evidence=(evidence,))
    problem = verify.check_query(evidence, result, workspace)
    assert isinstance(problem, str), f"{sql!r}: expected a string, got {problem!r}"
    return problem


def expect_accepted(sql: str, answer: str, number: float | None = None) -> None:
    problem = check(sql, answer, number)
    case = f"{sql!r}, answer {answer!r}, number {number}"
    assert problem == "", f"{case}: expected '', got {problem!r}"


def expect_refused(
    sql: str, quote: str, answer: str, number: float | None = None, **more: Any
) -> None:
    """`quote` is what the problem must contain."""
    problem = check(sql, answer, number, **more)
    case = f"{sql!r}, answer {answer!r}, number {number}: expected a problem"
    assert problem, f"{case}, got ''"
    assert quote in problem, f"{case} that contains {quote!r}, got {problem!r}"


def check_1_without_a_database_nothing_can_be_checked() -> None:
    expect_refused("SELECT 2", "", "2", 2, workspace=Workspace(Config()))
    expect_refused(NAMES, "", "Base Camp, Marmot", workspace=Workspace(Config()))


def check_2_a_query_that_fails_is_refused_with_its_error() -> None:
    expect_refused("SELECT price FROM tents", "price", "2", 2)
    expect_refused("SELECT price FROM tents", "price", "Marmot")
    expect_refused("DROP TABLE tents", "", "2", 2)


def check_2_any_error_of_the_database_is_a_problem() -> None:
    def query(sql: str) -> Any:
        raise Unavailable(f"The database is away: {sql}")

    database: Any = SimpleNamespace(query=query)
    expect_refused("SELECT 2", "is away", "2", 2, workspace=Workspace(Config(), database))


def check_2_the_output_of_the_specialist_is_not_trusted() -> None:
    expect_refused("SELECT COUNT(*) FROM tents", "3", "3", 3, output="3")


def check_2_other_errors_are_not_caught() -> None:
    def query(sql: str) -> Any:
        raise LookupError(f"a bug: {sql}")

    database: Any = SimpleNamespace(query=query)
    try:
        problem = check("SELECT 2", "2", 2, workspace=Workspace(Config(), database))
    except LookupError:
        return
    raise AssertionError(f"a bug in the database: expected its LookupError, got {problem!r}")


def check_3_all_texts_must_be_in_the_answer() -> None:
    expect_accepted(NAMES, "Base Camp, Marmot")
    expect_refused(NAMES, "Marmot", "Base Camp")
    expect_refused(NAMES, "Base Camp", "none")


def check_3_case_space_and_markup_do_not_count() -> None:
    expect_accepted(NAMES, "**base  camp** and\n`MARMOT`")


def check_3_other_values_need_not_be_in_the_answer() -> None:
    expect_accepted("SELECT name, grams, NULL FROM tents", "Marmot; Base Camp")


def check_3_a_query_without_rows_is_fine() -> None:
    expect_accepted("SELECT name FROM tents WHERE grams > 9000", "none")


def check_3_only_the_first_rows_must_be_in_the_answer() -> None:
    steps = [f"step {n}" for n in range(101, 126)]
    expect_accepted(STEPS, ", ".join(steps[:20]))
    expect_refused(STEPS, "step 120", ", ".join(steps[:19]))


def check_4_one_of_the_values_is_the_number() -> None:
    expect_accepted("SELECT name, grams FROM tents", "2150 g", 2150)
    expect_accepted("SELECT NULL, '12.5', 'Marmot'", "12.5", 12.5)
    expect_refused("SELECT grams FROM tents", "2,151", "2,151 g", 2151)
    expect_refused("SELECT NULL", "0", "0", 0)


def check_4_the_value_may_differ_by_a_rounding_error() -> None:
    expect_accepted("SELECT AVG(cents) / 100.0 FROM tents", "434.495", 434.4950001)
    expect_refused("SELECT 434.495", "434.5", "434.50", 434.5)
    expect_accepted("SELECT 1234567890", "1,234,567,000", 1234567000)
    expect_refused("SELECT 0.0000004", "1e-07", "0.0000001", 0.0000001)


def check_4_other_units_and_the_count_of_rows_are_not_the_number() -> None:
    expect_refused("SELECT grams / 100.0 FROM tents", "2,150", "2,150", 2150)
    expect_refused("SELECT cents FROM tents", "319.99", "319.99", 319.99)
    expect_refused("SELECT grams FROM tents", "2", "2", 2)


def check_4_the_sign_is_that_of_the_value() -> None:
    expect_refused("SELECT -2150", "2,150", "2,150 g", 2150)
    expect_refused("SELECT 2150", "-2,150", "-2,150 g", -2150)


def check_4_only_the_first_rows_count() -> None:
    expect_accepted(STEPS, "120", 120)
    expect_refused(STEPS, "121", "121", 121)


def check_5_the_answer_contains_the_number() -> None:
    expect_refused("SELECT COUNT(*) FROM tents", "2", "3 tents", 2)
    expect_refused("SELECT COUNT(*) FROM tents", "2", "Two tents", 2)
    expect_refused("SELECT COUNT(*) FROM tents", "3 tents", "3 tents", 2)
    expect_accepted("SELECT COUNT(*) FROM tents", "Of 7 tents, 2 are in stock", 2)


def check_5_thousands_may_be_separated() -> None:
    expect_accepted("SELECT SUM(grams) FROM tents", "10,550 g", 10550)
    expect_accepted("SELECT 1234567.5", "1,234,567.50 EUR", 1234567.5)


def check_5_the_answer_may_be_rounded() -> None:
    expect_accepted("SELECT AVG(cents) / 100.0 FROM tents", "434.50 EUR", 434.495)
    expect_accepted("SELECT 1234567.8", "1,234,000", 1234567.8)
    expect_accepted("SELECT 0.3333333", "0.33", 0.3333333)
    expect_refused("SELECT 434.495", "434.495", "435.5 EUR", 434.495)


def check_5_a_negative_number_is_compared_without_its_sign() -> None:
    expect_accepted("SELECT -12.5", "-12.50 EUR", -12.5)
    expect_accepted("SELECT -12.5", "a loss of 12.50 EUR", -12.5)
