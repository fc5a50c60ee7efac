"""The brain of templates over the sample shop: what it writes, and the words that it refuses."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from multi_agent.brain import Progress, Refusal
from multi_agent.config import Config
from multi_agent.data.database import open_database
from multi_agent.data.document_index import DocumentIndex
from multi_agent.offline.brain import OfflineBrain
from multi_agent.specialists import open_specialists
from multi_agent.tools.builtin import Workspace
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.settings import load

shop = pytest.importorskip("multi_agent.sample.shop")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("shop")
    documents = DocumentIndex(shop.DOCUMENTS, HashEmbeddings())
    with open_database(shop.ensure_shop(folder)) as database:
        yield Workspace(load(Config, data_dir=folder), database, documents)


@pytest.fixture(scope="module")
def brain(workspace: Workspace) -> OfflineBrain:
    return OfflineBrain(workspace)


@pytest.mark.parametrize(
    ("question", "row"),
    [
        ("How many customers does the shop have?", (80,)),
        ("How many orders were placed in May 2025?", (14,)),
        ("Number of cancelled orders", (28,)),
        ("How many silver customers are there in the netherlands?", (6,)),
        ("How many products are tents?", (4,)),
        ("What is the total of all payments made by invoice, in euros?", (19118.18,)),
        ("What was the average payment in June 2024?", (309.092,)),
        ("What is the average price of a tent?", (314.0,)),
        ("Which product is the most expensive?", ("Basecamp family tent",)),
        ("Which is the cheapest product in the Cooking category?", ("Folding cutlery",)),
        ("What do the Granite hiking boots cost?", (189.0,)),
        ("When did Emma Claes join?", ("2021-07-05",)),
        ("What is the city of Emma Claes?", ("Grenoble",)),
    ],
)
def test_question_over_one_table_becomes_its_query(
    brain: OfflineBrain, workspace: Workspace, question: str, row: tuple[Any, ...]
) -> None:
    assert workspace.database
    rows = workspace.database.query(brain.write_sql(question).sql).rows
    assert len(rows) == 1
    assert rows[0] == pytest.approx(row) if isinstance(row[0], float) else rows[0] == row


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("How many customers are not from Germany?", "not"),
        ("How many customers are from Germany or France?", "france"),
        ("How many customers have never placed an order?", "never"),
        ("How many orders were placed before May 2025?", "before"),
        ("How many products cost less than 20 euros?", "cost"),
        ("How many orders were placed last month?", "last"),
        ("How many orders contain a Beam 400 headlamp?", "contain"),
        ("What is the average price of a kayak?", "kayak"),
        ("Which product is the heaviest without a box?", "without"),
    ],
)
def test_word_that_no_template_accounts_for_is_named(
    brain: OfflineBrain, question: str, word: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        brain.write_sql(question)
    assert f"'{word}'" in str(refusal.value) or "two values" in str(refusal.value)


def test_any_word_more_changes_the_query_or_is_refused(brain: OfflineBrain) -> None:
    """Generated: a foreign word anywhere in a question is never ignored."""
    chance = random.Random(1)
    questions = [
        "How many orders were placed in May 2025?",
        "What was the average payment in June 2024?",
        "Which product is the heaviest?",
        "How many gold customers live in Germany?",
        "What is 15 % of 240?",
    ]
    words = ["not", "never", "without", "except", "other", "unpaid", "zebra", "half"]
    for _ in range(200):
        question = chance.choice(questions).rstrip("?").split()
        question.insert(chance.randint(1, len(question)), chance.choice(words))
        text = " ".join(question)
        with pytest.raises(Refusal):
            brain.compute(text) if "240" in text else brain.write_sql(text)


@pytest.mark.parametrize(
    ("task", "expression", "unit"),
    [
        ("What is 15 % of 240?", "240 * 15 / 100", ""),
        ("How much is 84 euros plus 19% VAT?", "84 * (1 + 19 / 100)", "EUR"),
        ("A jacket costs 279 euros. What is the price after a discount of 20 percent?",
         "279 * (1 - 20 / 100)", "EUR"),
        ("What's 17 times 23?", "17 * 23", ""),
        ("What is twelve hundred minus three hundred and fifty?", "1200 - 350", ""),
        ("add 12.75, 8.40 and 19.99", "sum(12.75, 8.40, 19.99)", ""),
        ("What is the average of 14, 22, 31 and 9?", "average(14, 22, 31, 9)", ""),
        ("45 is what percentage of 180?", "45 / 180 * 100", "%"),
        ("How many days are there from 12 March 2025 to 4 July 2025?",
         "days('2025-03-12', '2025-07-04')", ""),
        ("Which date is 45 days after 20 January 2025?", "shift('2025-01-20', days=45)", ""),
    ],
)  # fmt: skip
def test_task_becomes_its_expression(
    brain: OfflineBrain, task: str, expression: str, unit: str
) -> None:
    written = brain.compute(task)
    assert (written.text, written.unit) == (expression, unit)


@pytest.mark.parametrize(
    "task",
    [
        "What is 15 % of 240 and 3?",
        "What is 3 euros plus 4 dollars?",
        "How many days are there from 31 February 2025 to 3 March 2025?",
        "Three friends share a bill of 86.40 euros equally. How much does each of them pay?",
    ],
)
def test_task_that_is_no_formula_is_refused(brain: OfflineBrain, task: str) -> None:
    with pytest.raises(Refusal):
        brain.compute(task)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How long is the return window for gold members?", "60 days"),
        ("How long is the warranty on tents?", "5 years"),
        ("What does express shipping to Austria cost?", "€13.90"),
        ("For how long is a gift card valid?", "three years"),
        ("How much does shipping to Portugal cost?", ""),
        ("How much does shipping to Denmark cost?", ""),  # standard or express
        ("How long is the warranty on bicycles?", ""),
        ("What is the student discount?", ""),
    ],
)
def test_question_over_documents_is_answered_with_a_quote(
    brain: OfflineBrain, workspace: Workspace, question: str, answer: str
) -> None:
    assert workspace.documents
    passages = workspace.documents.search(question, 8)
    if not answer:
        with pytest.raises(Refusal):
            brain.quote(question, passages)
        return
    quote = brain.quote(question, passages)
    assert quote.answer == answer and answer in quote.quote
    assert any(quote.quote in " ".join(passage.text.split()) for passage in passages)


@pytest.mark.parametrize(
    ("task", "steps"),
    [
        ("How many orders came in May, and how long is the warranty?", "researcher; researcher"),
        ("How many products are tents, and how long is the warranty on tents?",
         "analyst; researcher"),
        ("What is 15 % of the total amount of payments in 2024?", "analyst; calculator s1"),
        ("What is the price of the Single rope 60 m after a discount of 8 percent?",
         "analyst; calculator s1"),
    ],
)  # fmt: skip
def test_task_is_cut_into_steps(
    brain: OfflineBrain, workspace: Workspace, task: str, steps: str
) -> None:
    plan = brain.plan(task, open_specialists(workspace), Progress())
    assert "; ".join(" ".join([step.specialist, *step.after]) for step in plan) == steps


def test_task_that_nothing_accounts_for_is_refused(
    brain: OfflineBrain, workspace: Workspace
) -> None:
    with pytest.raises(Refusal, match="Without a model"):
        brain.plan("Sing a song!", open_specialists(workspace), Progress())


def test_values_in_two_columns_are_refused_unless_the_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "flights.csv").write_text("start,target\nRome,Oslo\nOslo,Bern\nRome,Bern\n")
    with open_database(tmp_path / "flights.csv") as database:
        brain = OfflineBrain(Workspace(load(Config), database))
        with pytest.raises(Refusal, match=r"flights\.start or flights\.target"):
            brain.write_sql("How many flights are from Oslo?")
        query = brain.write_sql("How many flights have the target Bern?")
        assert database.query(query.sql).rows == ((2,),)
        assert re.search("target Bern", query.reading)
