"""Score the extraction on a folder of documents with known fields.

    report = evaluate(Path("my_documents"), read)     # read(path, schema) returns the fields
    print(report.to_markdown())

`truth.jsonl` in the folder has an object per file: {"file", "schema", "fields", "accept"}, with
null for a field that is not on the page. `read` may be another extractor, to compare both.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from seedbed.cli import Progress
from seedbed.errors import BadInput, SeedbedError
from seedbed.files import read_json_lines
from seedbed.runs.evaluation import Figure, Report

_HINT = "Describe one document per line, as in the folder eval/."
# Legal forms at the end of a company's name; a name counts as equal with and without them.
_LEGAL_FORMS = frozenset(
    "ab ag aps as bhd bv co corp eirl ek ev gbr gmbh inc kg kgaa lda limited llc llp ltd ltda mbh"
    " nv ohg oo oy plc pllc pty sa sarl sas sdn se sl snc sp spa srl ug z".split()
)


def evaluate(
    folder: Path,
    read: Callable[[Path, str], Mapping[str, Any]],
    progress: Progress | None = None,
) -> Report:
    """Score `read` (path, schema → fields) on each document; the report has a case per document.

    Figures: the share of right fields in all and by field, and the share of invented values among
    absent fields, with 95 % intervals, which treat fields as independent. All fields of a file that
    cannot be read count as missed. Raises BadInput for a folder without a valid truth.jsonl.
    """
    # 1. Read the truth.
    rows = []
    for place, row in read_json_lines(folder / "truth.jsonl", hint=_HINT):
        if missing := {"file", "schema", "fields"} - row.keys():
            raise BadInput(f"{place}: no {', '.join(sorted(missing))}.", hint=_HINT)
        rows.append(row)
    cases: list[dict[str, Any]] = []
    for done, row in enumerate(rows, 1):
        # 2. Read the document and compare each field.
        case: dict[str, Any] = {"id": row["file"]}
        try:
            values = read(folder / row["file"], row["schema"])
        except SeedbedError as error:
            values, case["error"] = {}, str(error)
        case["outcomes"] = {
            name: judge(name, expected, values.get(name), row.get("accept", {}).get(name, ()))
            for name, expected in row["fields"].items()
        }
        case["absent"] = [name for name, value in row["fields"].items() if value is None]
        cases.append(case)
        if progress:
            progress(done, len(rows))
    # 3. Average.
    outcomes = [pair for case in cases for pair in case["outcomes"].items()]
    results = [outcome for _, outcome in outcomes]
    absent = sum(len(case["absent"]) for case in cases)
    figures = {
        "fields right": Figure.share(results.count("right"), len(results)),
        "invented": Figure.share(results.count("invented"), absent),
    }
    for field in dict.fromkeys(name for name, _ in outcomes):
        results = [outcome for name, outcome in outcomes if name == field]
        figures[f"{field} right"] = Figure.share(results.count("right"), len(results))
    return Report(f"Documents in {folder.name}", figures, cases)


def judge(field: str, expected: str | None, value: object, accept: Iterable[str] = ()) -> str:
    """right, wrong, missed or invented, for a value; `accept` has further values that are right.

    Totals are equal to the cent, numbers apart from spaces and case, vendors also apart from
    punctuation and the legal form.

    >>> judge("vendor", "Otte Handels KG", "OTTE HANDELS")
    'right'
    >>> judge("total", "65.40", "65.4"), judge("date", None, "2024-03-03")
    ('right', 'invented')
    """
    if value is None or value == "":
        return "right" if expected is None else "missed"
    if expected is None:
        return "invented"
    normalize = _NORMALIZERS.get(field, _plain)
    return "right" if normalize(value) in map(normalize, (expected, *accept)) else "wrong"


def _plain(value: object) -> str:
    """Text without case and spaces, with one form of dashes and apostrophes."""
    text = re.sub(r"\s+", "", unicodedata.normalize("NFKC", str(value)))
    return text.translate(str.maketrans("‐‑–—−’‘´`", "-----''''")).casefold()


def _amount(value: object) -> str:
    try:
        return f"{Decimal(str(value)):.2f}"
    except InvalidOperation:
        return _plain(value)


def _company(value: object) -> str:
    """A company's name without case, punctuation, spaces and legal form."""
    text = unicodedata.normalize("NFKC", str(value)).casefold()
    words = re.findall(r"\w+", re.sub(r"[.'’]", "", text))
    while len(words) > 1 and words[-1] in _LEGAL_FORMS:
        words.pop()
    return "".join(words)


_NORMALIZERS: dict[str, Callable[[object], str]] = {"vendor": _company, "total": _amount}
