import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vision_app.evaluate.documents import (
    Failure,
    Reading,
    character_errors,
    contact_sheet,
    evaluate,
    judge,
    outcome_table,
)
from seedbed.errors import BadInput

GENERATOR = Path(__file__).parents[2] / "eval" / "make_documents.py"
TRUE = {
    "vendor": "Otte Handels KG",
    "invoice_number": "RE-17",
    "date": "2025-03-14",
    "total": "119.00",
    "currency": None,
}


def make(split: str, out: Path, limit: int, seed: int = 0) -> list[dict[str, Any]]:
    command = [sys.executable, str(GENERATOR), "--split", split, "--out", str(out)]
    command += ["--limit", str(limit), "--seed", str(seed)]
    subprocess.run(command, check=True, timeout=120)
    return [json.loads(line) for line in (out / "truth.jsonl").read_text("utf-8").splitlines()]


def write_truth(folder: Path, *rows: Mapping[str, Any]) -> None:
    lines = [json.dumps(row) for row in rows]
    (folder / "truth.jsonl").write_text("\n".join(lines), encoding="utf-8")


def row(**changes: Any) -> dict[str, Any]:
    base = {"file": "a.png", "schema": "invoice", "kind": "clean", "language": "German"}
    return {**base, "fields": TRUE, "text": "Otte Handels KG\nRE-17\n119,00", **changes}


@pytest.fixture(scope="module", params=["dev", pytest.param("more", marks=pytest.mark.slow)])
def documents(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    return folder, make(request.param, folder, 9)


def test_generator_prints_every_field_of_the_truth(documents: Any) -> None:
    _, rows = documents
    for truth in rows:
        fields, text = truth["fields"], truth["text"]
        assert (fields["vendor"] or "") in text.replace("\n", " ")
        assert (fields["invoice_number"] or "") in text
        digits = "".join(filter(str.isdigit, fields["total"] or ""))
        assert digits in "".join(filter(str.isdigit, text))


def test_generator_leaves_fields_out(documents: Any) -> None:
    _, rows = documents
    absent = [name for truth in rows for name, value in truth["fields"].items() if value is None]
    assert {"invoice_number", "currency"} <= set(absent)
    for truth in rows:
        if truth["fields"]["currency"] is None:
            assert not any(symbol in truth["text"] for symbol in ("€", "$", "£", "EUR", "USD"))


def test_generator_writes_pictures_of_all_kinds(documents: Any) -> None:
    folder, rows = documents
    assert {truth["kind"] for truth in rows} == {"clean", "degraded", "turned"}
    for truth in rows:
        with Image.open(folder / truth["file"]) as image:
            pixels = np.asarray(image.convert("L"))
        assert min(pixels.shape) > 300 and pixels.std() > 5


@pytest.mark.slow
def test_generator_depends_on_the_seed_alone(tmp_path: Path) -> None:
    first = make("dev", tmp_path / "a", 2)
    assert make("dev", tmp_path / "b", 2) == first
    assert make("dev", tmp_path / "c", 2, seed=1) != first
    for truth in first:
        name = truth["file"]
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("field", "expected", "value", "outcome"),
    [
        ("vendor", "Kessler Metallbau GmbH & Co. KG", "KESSLER METALLBAU", "right"),
        ("vendor", "Termoidraulica Bassi S.r.l.", "Termoidraulica Bassi", "right"),
        ("vendor", "Otte Handels KG", "Otte", "wrong"),
        ("vendor", "Bank AG", "Bank", "right"),
        ("invoice_number", "RE-2024 17", "re-202417", "right"),
        ("invoice_number", "RE-17", "RE17", "wrong"),
        ("date", "2025-03-04", "2025-04-03", "wrong"),
        ("total", "1204.50", "1204.5", "right"),
        ("total", "1204.50", "1204.51", "wrong"),
        ("total", "-12.00", "12.00", "wrong"),
        ("total", "12.00", "twelve", "wrong"),
        ("currency", "EUR", None, "missed"),
        ("currency", None, "EUR", "invented"),
        ("currency", None, None, "right"),
    ],
)
def test_judge_compares_values_of_a_field(
    field: str, expected: str | None, value: str | None, outcome: str
) -> None:
    assert judge(field, expected, value) == outcome


def test_judge_accepts_the_legal_name() -> None:
    assert judge("vendor", "The Copper Kettle", "Copper Kettle Catering") == "wrong"
    accept = ["Copper Kettle Catering Ltd"]
    assert judge("vendor", "The Copper Kettle", "Copper Kettle Catering", accept) == "right"


def test_character_errors_ignore_order_and_spaces() -> None:
    runs = ["Invoice number", "RE-17", "Total", "119.00", "1"]
    assert character_errors(runs, "1 Total 119.00\nInvoicenumber RE-17") == 0


def test_character_errors_count_substitutions_deletions_and_insertions() -> None:
    runs = ["Invoice number", "Total", "119.00"]
    assert character_errors(runs, "lnvoice number Total 119.00") == 1
    assert character_errors(runs, "Invoice numer Total 119.00") == 1
    assert character_errors(runs, "Invoice number Total 119.00 EUR") == 3
    assert character_errors(runs, "Invoice number Total") == 6
    assert character_errors(runs, "") == len("Invoicenumber" + "Total" + "119.00")


def test_evaluate_counts_outcomes_by_field_and_kind(tmp_path: Path) -> None:
    write_truth(tmp_path, row(), row(file="b.png", kind="turned"))
    readings = {
        "a.png": Reading(TRUE, {}, "Otte Handels KG RE-17 119,00"),
        "b.png": Reading(
            {"vendor": "Otte", "date": "2025-03-14", "total": 119, "currency": "EUR"},
            {"vendor": (1, 2, 3, 4)},
            "Otte Handels KG RE-17 119,OO",
        ),
    }
    report, failures = evaluate(tmp_path, lambda path, _: readings[path.name])
    figures = report.figures
    assert (figures["clean: fields right"].value, figures["clean: fields right"].n) == (1.0, 5)
    assert figures["turned: fields right"].value == 0.4
    assert (figures["turned: invented"].value, figures["turned: invented"].n) == (1.0, 1)
    assert figures["documents all right"].value == 0.5
    assert figures["vendor right"].value == 0.5
    assert figures["clean: character error"].value == 0
    assert figures["turned: character error"].value == pytest.approx(2 / 24)
    assert [(f.field, f.outcome) for f in failures] == [
        ("vendor", "wrong"),
        ("invoice_number", "missed"),
        ("currency", "invented"),
    ]
    assert failures[0].box == (1, 2, 3, 4)
    assert "| vendor | 1 | 1 | 0 | 0 |" in outcome_table(report)


def test_evaluate_reports_progress_and_passes_the_schema(tmp_path: Path) -> None:
    write_truth(tmp_path, row(), row(schema="receipt"))
    schemas, steps = [], []

    def read(_: Path, schema: str) -> Reading:
        schemas.append(schema)
        return Reading({}, {}, "")

    evaluate(tmp_path, read, lambda done, total: steps.append((done, total)))
    assert schemas == ["invoice", "receipt"]
    assert steps == [(1, 2), (2, 2)]


def test_evaluate_names_the_line_without_fields(tmp_path: Path) -> None:
    write_truth(tmp_path, row(), {"file": "b.png"})
    with pytest.raises(BadInput, match=r"truth.jsonl, line 2: no fields"):
        evaluate(tmp_path, lambda *_: Reading({}, {}, ""))


def test_evaluate_without_truth_names_the_generator(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"make_documents\.py"):
        evaluate(tmp_path, lambda *_: Reading({}, {}, ""))


def test_contact_sheet_draws_the_box_that_was_read(tmp_path: Path) -> None:
    Image.new("RGB", (400, 600), "white").save(tmp_path / "a.png")
    failure = Failure(tmp_path / "a.png", "total", "wrong", "119.00", "19.00", (100, 100, 300, 200))
    sheet = contact_sheet([failure, failure], columns=2)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    red = (sheet[..., 0] > 200) & (sheet[..., 1] < 60)
    assert red[:, : sheet.shape[1] // 2].any() and red[:, sheet.shape[1] // 2 :].any()
    assert sheet.shape[1] > sheet.shape[0]
