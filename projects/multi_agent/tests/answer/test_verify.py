"""Results against their evidence, over a small database and a document."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from multi_agent.answer.verify import verify_result, with_checks
from multi_agent.config import Config
from multi_agent.data.database import open_database
from multi_agent.documents.read import Passage, read_folder
from multi_agent.specialists import Workspace
from multi_agent.state import Evidence, Result, Step

TENTS = "SELECT name FROM tents ORDER BY grams DESC"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("verify")
    (folder / "returns.md").write_text("# Returns\n\nReturn goods within **30 days**.\n")
    connection = sqlite3.connect(folder / "shop.sqlite")
    connection.execute("CREATE TABLE tents (name TEXT, grams INTEGER, cents INTEGER)")
    rows = [("Marmot", 2150, 31999), ("Basecamp", 8400, 54900)]
    connection.executemany("INSERT INTO tents VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    database = open_database(folder / "shop.sqlite")
    documents: Any = SimpleNamespace(passages=read_folder(folder))  # all that is looked at
    yield Workspace(Config(), database, documents)
    database.close()


def problem(
    workspace: Workspace,
    kind: Any,
    text: str,
    answer: str,
    number: float | None = None,
    task: str = "Tell me.",
    source: str = "returns.md:3",
) -> str:
    evidence = Evidence(kind=kind, source=source, text=text)
    result = Result(step="s1", answer=answer, number=number, evidence=(evidence,))
    return verify_result(Step(id="s1", specialist="analyst", task=task), result, {}, workspace)


@pytest.mark.parametrize(
    ("kind", "text", "answer", "number"),
    [
        ("quote", "Return goods within 30 days.", "30 days", 30),
        ("quote", "return goods  within **30 days**", "within 30 days", None),
        ("query", "SELECT COUNT(*) FROM tents", "2", 2),
        ("query", "SELECT AVG(cents) / 100.0 FROM tents", "434.50", 434.495),
        ("query", "SELECT SUM(grams) FROM tents", "10,550", 10550),
        ("query", TENTS, "Basecamp, Marmot", None),
        ("query", "SELECT name, grams FROM tents", "Marmot (2150); Basecamp (8400)", None),
        ("query", "SELECT name FROM tents WHERE grams > 9000", "none", None),
        ("program", "print(1)", "1", 1),
        ("page", "A page that has changed since.", "7", None),
    ],
)
def test_right_result_passes(
    workspace: Workspace, kind: str, text: str, answer: str, number: float | None
) -> None:
    assert problem(workspace, kind, text, answer, number) == ""


@pytest.mark.parametrize(
    ("kind", "text", "answer", "number", "expected"),
    [
        ("quote", "Return goods within 60 days.", "60 days", 60, "not in returns.md"),
        ("quote", "Return goods", "30 days", 30, "does not contain 30"),
        ("quote", "Return goods within 30 days.", "30 or 60 days", None, "does not contain 60"),
        ("query", "SELECT COUNT(*) FROM tents", "3", 3, "does not return 3"),
        ("query", "SELECT COUNT(*) FROM tents", "1", 1, "does not return 1"),
        ("query", "SELECT grams FROM tents", "2", 2, "does not return 2"),
        ("query", TENTS, "Everest", None, "'Basecamp'"),
        ("query", TENTS, "none", None, "'Basecamp'"),
        ("query", "SELECT nothing FROM tents", "2", 2, "The query fails"),
        ("query", "DROP TABLE tents", "2", 2, "The query fails"),
        ("query", "SELECT COUNT(*) FROM tents", "3", 2, "'3' does not contain 2"),
        ("query", "SELECT grams / 100.0 FROM tents", "2,150", 2150, "does not return 2,150"),
    ],
)
def test_lie_is_refused(
    workspace: Workspace, kind: str, text: str, answer: str, number: float | None, expected: str
) -> None:
    assert expected in problem(workspace, kind, text, answer, number)


@pytest.mark.parametrize(
    ("task", "expression", "answer", "number", "expected"),
    [
        ("What is 15 % of 240?", "240 * 15 / 100", "36", 36, ""),
        ("What is 15 % of 240?", "240 * 15 / 100", "37", 37, "'37' does not contain 36"),
        ("What is 15 % of 240?", "36", "36", 36, "has numbers that the task does not have: 36"),
        ("What is 1 of them?", "1 / 9", "≈ 0.1111", 0.1111, "does not have: 9"),
        ("Two weeks before 2025-05-05?", "shift('2025-05-05', weeks=-2)", "2025-04-21", None, ""),
        (
            "Two weeks before 2025-05-05?",
            "shift('2025-05-05', weeks=-2)",
            "22",
            None,
            "is 2025-04-21",
        ),
        ("What is fifteen percent of 240?", "240 * 15 / 100", "36", 36, ""),
        ("A share", "a share", "36", 36, "cannot be computed again"),
    ],
)
def test_calculation_is_computed_again_from_the_numbers_of_its_task(
    task: str, expression: str, answer: str, number: float | None, expected: str
) -> None:
    text = problem(Workspace(Config()), "calculation", expression, answer, number, task)
    assert expected in text if expected else text == ""


def test_quote_of_another_document_is_refused(workspace: Workspace) -> None:
    text = "Return goods within 30 days."
    assert "not in old.md" in problem(workspace, "quote", text, "30 days", source="old.md:3")


def test_number_words_of_a_quote_support_digits(workspace: Workspace) -> None:
    documents: Any = workspace.documents
    documents.passages.append(Passage("fees.md", 1, 1, "fees", "The deposit is twenty euros."))
    text = "The deposit is twenty euros."
    assert problem(workspace, "quote", text, "20 euros", source="fees.md:1") == ""
    assert "25" in problem(workspace, "quote", text, "25 euros", source="fees.md:1")


def test_query_that_reads_no_table_is_not_evidence(workspace: Workspace) -> None:
    assert "reads no table" in problem(workspace, "query", "SELECT 9999", "9,999", 9999)


def test_evidence_says_what_was_checked() -> None:
    kinds: Any = ("quote", "query", "calculation", "program", "page")
    evidence = tuple(Evidence(kind=kind, source="s", text="t") for kind in kinds)
    checked = with_checks(Result(step="s1", answer="1", evidence=evidence)).evidence
    assert [one.checked for one in checked] == [
        "found in the document",
        "repeated, with the same result",
        "computed again, from the numbers of the task",
        "",
        "",
    ]


def test_digit_inside_a_name_is_not_a_number_of_the_evidence(workspace: Workspace) -> None:
    evidence = Evidence(kind="program", source="script", text="")
    inputs = {"s1": Result(step="s1", answer="Kurier24 and s1", evidence=(evidence,))}
    step = Step(id="s2", specialist="writer", task="Write about {s1}.", after=("s1",))
    result = Result(step="s2", answer="There are 24.", evidence=(evidence,))
    assert "does not contain 24" in verify_result(step, result, inputs, workspace)


def test_result_without_evidence_is_refused(workspace: Workspace) -> None:
    step = Step(id="s1", specialist="analyst", task="Tell me.")
    assert verify_result(step, Result(step="s1", answer="7"), {}, workspace) == (
        "The analyst gave no evidence."
    )


def test_one_wrong_piece_of_evidence_is_enough(workspace: Workspace) -> None:
    right = Evidence(kind="program", source="run_python", text="print(4)")
    wrong = Evidence(kind="query", source="shop", text="SELECT grams FROM tents")
    result = Result(step="s1", answer="4", number=4, evidence=(right, wrong))
    step = Step(id="s1", specialist="analyst", task="Tell me.")
    assert "does not return 4" in verify_result(step, result, {}, workspace)


def test_query_needs_a_database() -> None:
    assert "no database" in problem(Workspace(Config()), "query", "SELECT 2", "2", 2)


def test_text_about_other_results_has_their_numbers_only() -> None:
    query = Evidence(kind="query", source="shop", text="SELECT 1204")
    inputs = {"s1": Result(step="s1", answer="1,204", number=1204, evidence=(query,))}
    step = Step(id="s2", specialist="writer", task="Tell 3 friends about {s1}.", after=("s1",))
    for text, expected in (
        ("We had 1204 orders, 3 friends.", ""),
        ("We had 99 orders.", "The evidence does not contain 99."),
    ):
        result = Result(step="s2", answer=text, evidence=(query,))
        assert verify_result(step, result, inputs, Workspace(Config())) == expected


def test_calculation_is_repeated_with_the_answers_of_earlier_steps() -> None:
    evidence = (Evidence(kind="calculation", source="calculate", text="240 * 15 / 100"),)
    inputs = {"s1": Result(step="s1", answer="240", number=240)}
    step = Step(id="s2", specialist="calculator", task="What is 15 % of {s1}?", after=("s1",))
    for answer, expected in (("36", ""), ("37", "'37' does not contain 36.")):
        result = Result(step="s2", answer=answer, evidence=evidence)
        assert verify_result(step, result, inputs, Workspace(Config())) == expected
