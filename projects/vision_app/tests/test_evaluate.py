import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vision_app.evaluate import evaluate, judge
from seedbed.errors import BadInput

TRUE = {
    "vendor": "Otte Handels KG",
    "invoice_number": "RE-17",
    "date": "2025-03-14",
    "total": "119.00",
    "currency": None,
}


def write_truth(folder: Path, *rows: Mapping[str, Any]) -> None:
    lines = [json.dumps(row) for row in rows]
    (folder / "truth.jsonl").write_text("\n".join(lines), encoding="utf-8")


def row(**changes: Any) -> dict[str, Any]:
    base = {"file": "a.png", "schema": "invoice"}
    return {**base, "fields": TRUE, **changes}


def test_judge_compares_values_of_a_field() -> None:
    cases = [
        ("vendor", "Kessler Metallbau GmbH & Co. KG", "KESSLER METALLBAU", "right"),
        ("vendor", "Termoidraulica Bassi S.r.l.", "Termoidraulica Bassi", "right"),
        ("vendor", "Otte Handels KG", "Otte", "wrong"),
        ("invoice_number", "RE-2024 17", "re-202417", "right"),
        ("invoice_number", "RE-17", "RE17", "wrong"),
        ("date", "2025-03-04", "2025-04-03", "wrong"),
        ("total", "1204.50", "1204.5", "right"),
        ("total", "-12.00", "12.00", "wrong"),
        ("total", "12.00", "twelve", "wrong"),
        ("currency", "EUR", None, "missed"),
        ("currency", None, "EUR", "invented"),
        ("currency", None, None, "right"),
    ]
    for field, expected, value, outcome in cases:
        assert judge(field, expected, value) == outcome, (field, value)
    accept = ["Copper Kettle Catering Ltd"]
    assert judge("vendor", "The Copper Kettle", "Copper Kettle Catering", accept) == "right"


def test_evaluate_counts_outcomes_by_field(tmp_path: Path) -> None:
    write_truth(tmp_path, row(), row(file="b.png"))
    readings = {
        "a.png": TRUE,
        "b.png": {"vendor": "Otte", "date": "2025-03-14", "total": 119, "currency": "EUR"},
    }
    report = evaluate(tmp_path, lambda path, _: readings[path.name])
    figures = report.figures
    assert (figures["fields right"].value, figures["fields right"].n) == (0.7, 10)
    assert (figures["invented"].value, figures["invented"].n) == (0.5, 2)
    assert figures["vendor right"].value == 0.5
    assert report.cases[1]["outcomes"] == {
        "vendor": "wrong",
        "invoice_number": "missed",
        "date": "right",
        "total": "right",
        "currency": "invented",
    }


def test_evaluate_passes_the_schema_and_goes_on_after_a_bad_file(tmp_path: Path) -> None:
    write_truth(tmp_path, row(file="broken.png"), row(schema="receipt"))
    schemas, steps = [], []

    def read(path: Path, schema: str) -> Mapping[str, Any]:
        schemas.append(schema)
        if path.name == "broken.png":
            raise BadInput("broken.png is damaged.")
        return TRUE

    report = evaluate(tmp_path, read, lambda done, total: steps.append((done, total)))
    assert (schemas, steps) == (["invoice", "receipt"], [(1, 2), (2, 2)])
    assert report.figures["fields right"].n == 10 and report.figures["vendor right"].value == 0.5
    assert report.cases[0]["error"] == "broken.png is damaged."


def test_evaluate_names_the_line_without_fields(tmp_path: Path) -> None:
    write_truth(tmp_path, row(), {"file": "b.png"})
    with pytest.raises(BadInput, match=r"truth.jsonl, line 2: no fields.* in the folder eval/"):
        evaluate(tmp_path, lambda *_: {})
