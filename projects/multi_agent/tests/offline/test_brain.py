"""The brain without a model, over a real database."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from multi_agent.brain import Attempt, Refusal
from multi_agent.data.database import open_database
from multi_agent.offline.brain import OfflineBrain


@pytest.fixture
def brain(tmp_path: Path) -> Any:
    (tmp_path / "boats.csv").write_text("name,color,price_eur\nOtter,red,80\nHeron,blue,20\n")
    with open_database(tmp_path / "boats.csv") as database:
        workspace: Any = SimpleNamespace(database=database, documents=None)
        yield OfflineBrain(workspace)


@pytest.mark.parametrize(
    "question",
    [
        "Which boats cost more than 100 euros?",
        "What is the average price of boats over 100 euros?",
        "What is the total price of boats over 100 euros per color?",
    ],
)
def test_question_that_no_row_matches_is_refused_with_its_reading(
    brain: OfflineBrain, question: str
) -> None:
    with pytest.raises(Refusal, match=r"No row matches: .*more than 100"):
        brain.write_sql(question)


def test_count_of_no_rows_is_an_answer(brain: OfflineBrain) -> None:
    assert brain.write_sql("How many boats cost more than 100 euros?").sql.startswith(
        "SELECT COUNT"
    )


def test_query_that_failed_is_not_written_again(brain: OfflineBrain) -> None:
    with pytest.raises(Refusal, match="no such column"):
        brain.write_sql("How many boats are there?", Attempt("SELECT x", "no such column: x"))
