"""The evaluation set: questions about painted pages and two photographs, half unanswerable."""

from __future__ import annotations

import json
import runpy
from functools import cache
from pathlib import Path

import pytest

from vision_app.answer.rules.ask import ask
from vision_app.ocr.engine import Reader
from vision_app.ocr.page import Page

HERE = Path(__file__).parent
paint = runpy.run_path(str(HERE / "pictures.py"))["paint"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "right", "wrong", "invented"),
    [
        ("questions", 0.9, 0.05, 0.05),
        # Measured when they were new: 15 of 18 right and 1 wrong; 1 of 18 unanswerable answered.
        ("held_out_questions", 0.8, 0.06, 0.06),
    ],
)
def test_questions_are_answered_or_refused(
    name: str, right: float, wrong: float, invented: float
) -> None:
    reader = Reader()

    @cache
    def read(picture: str) -> list[Page]:
        return [reader.read(paint(picture))]

    lines = (HERE / f"{name}.jsonl").read_text("utf-8").splitlines()
    cases = [json.loads(line) for line in lines]
    results = [(case, ask(case["question"], read(case["picture"]))) for case in cases]
    answerable = [(case, result) for case, result in results if case["answer"] is not None]
    hits = [case["answer"].lower() in result.text.lower() for case, result in answerable]
    errors = [
        not hit and not result.abstained for hit, (_, result) in zip(hits, answerable, strict=True)
    ]
    inventions = [not result.abstained for case, result in results if case["answer"] is None]
    assert sum(hits) >= right * len(hits)
    assert sum(errors) <= wrong * len(errors)
    assert sum(inventions) <= invented * len(inventions)
