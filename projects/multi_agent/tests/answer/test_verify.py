"""Results against their evidence, over a small database and a document."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from multi_agent.answer.compose import compose_answer
from multi_agent.answer.verify import verify_result, with_checks
from multi_agent.config import Config
from multi_agent.data.database import open_database
from multi_agent.data.passages import read_folder
from multi_agent.runs.state import Evidence, Result, Step
from multi_agent.specialists import Workspace

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
    documents: Any = SimpleNamespace(passages=read_folder(folder))  # all that is looked at
    with open_database(folder / "shop.sqlite") as database:
        yield Workspace(Config(), database, documents)


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
        ("tool", "{}", "7", None),
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
        ("query", "SELECT 9999", "9,999", 9999, "reads no table"),
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
        ("What is 249 without 19 % VAT?", "249 / 1.19", "≈ 209.2437", 209.2437, ""),
        ("279 less 20 percent?", "279 * 0.8", "223.2", 223.2, ""),
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


def test_evidence_says_what_was_checked() -> None:
    kinds: Any = ("quote", "query", "calculation", "tool")
    evidence = tuple(Evidence(kind=kind, source="s", text="t") for kind in kinds)
    checked = with_checks(Result(step="s1", answer="t", evidence=evidence)).evidence
    assert [one.checked for one in checked] == [
        "found in the document",
        "repeated, with the same result",
        "computed again, from the numbers of the task",
        "",
    ]


def test_text_about_other_results_has_their_numbers_only() -> None:
    query = Evidence(kind="query", source="shop", text="SELECT 1204")
    inputs = {"s1": Result(step="s1", answer="1,204", number=1204, evidence=(query,))}
    reading = "orders placed in May 2025"
    inputs = {"s1": inputs["s1"].model_copy(update={"reading": reading})}
    step = Step(id="s2", specialist="writer", task="Tell 3 friends about {s1}.", after=("s1",))
    for text, expected in (
        ("In May 2025, 1,204 orders were placed.", ""),
        ("We had 1204 orders, 3 friends.", ""),
        ("We had 99 orders.", "The evidence does not contain 99."),
    ):
        result = Result(step="s2", answer=text, evidence=(query,))
        assert verify_result(step, result, inputs, Workspace(Config())) == expected


@pytest.mark.parametrize(
    ("quote", "answer", "checked"),
    [
        ("Return goods within 30 days.", "30 days", True),
        ("HTTPX does not follow redirects by default", "Yes, always", False),
        ("HTTPX", "Kenneth Reitz", False),
        ("HTTPX does not follow redirects by default.", "follow redirects by default", False),
        ("Pets are allowed in the garden only.", "Pets are allowed", False),
        ("The backup runs if the disk is full.", "The backup runs", False),
        ("We do not accept cheques.", "We do not accept cheques", True),
        ("Dogs are welcome. Cats are not.", "Dogs are welcome", True),
        ("The limit is 1300 euros.", "300 euros", False),
        ("An order that was not paid within 10 days is cancelled.", "10 days", True),
        ("It is due in 10 days, not 30 days.", "30 days", False),
    ],
)
def test_answer_is_checked_only_as_a_span_that_leaves_no_condition_out(
    quote: str, answer: str, checked: bool
) -> None:
    evidence = Evidence(kind="quote", source="a.md:1", text=quote)
    result = with_checks(Result(step="s1", answer=answer, evidence=(evidence,)))
    assert bool(result.evidence[0].checked) is checked
    plan = [Step(id="s1", specialist="researcher", task="?")]
    assert compose_answer(plan, {"s1": result}).confident is checked
