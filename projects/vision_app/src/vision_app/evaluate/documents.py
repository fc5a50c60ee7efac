"""Score the extraction on a folder of documents with known fields.

    report = evaluate(Path("my_documents"), partial(read_document, vision))
    print(report.to_markdown() + outcome_table(report))

`truth.jsonl` in the folder has an object per file: {"file", "schema", "kind", "language", "fields",
"accept"}, with null for a field that is not on the page. How documents are read is up to the
caller: `evaluate` takes a function, so that another extractor can be scored on the same terms.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedbed.cli import Progress, markdown_table
from seedbed.errors import BadInput
from seedbed.files import read_json_lines
from seedbed.runs.evaluation import Figure, Report

if TYPE_CHECKING:
    from vision_app.vision import Vision

OUTCOMES = ("right", "wrong", "missed", "invented")
_HINT = "Describe one document per line, as in the folder eval/."
# Legal forms at the end of a company's name; a name counts as equal with and without them.
_LEGAL_FORMS = frozenset(
    "ab ag aps as bhd bv co corp eirl ek ev gbr gmbh inc kg kgaa lda limited llc llp ltd ltda mbh"
    " nv ohg oo oy plc pllc pty sa sarl sas sdn se sl snc sp spa srl ug z".split()
)


def read_document(vision: Vision, path: Path, schema: str) -> Mapping[str, Any]:
    """The fields of one document as the app reads them."""
    fields: Mapping[str, Any] = vision.extract(vision.open(path), schema)["fields"]
    return fields


def evaluate(
    folder: Path,
    read: Callable[[Path, str], Mapping[str, Any]],
    progress: Progress | None = None,
) -> Report:
    """Score `read` on each document of the folder; the report has a case per document.

    Figures: the share of right fields by kind, field and language, and the share of invented values
    among absent fields, all with 95 % intervals, which treat fields as independent. Raises BadInput
    for a folder without a valid truth.jsonl.

        report = evaluate(Path("dev"), partial(read_document, vision))
        report.figures["clean: fields right"].value
    """
    # 1. Read the truth.
    rows = []
    for place, row in read_json_lines(folder / "truth.jsonl", hint=_HINT):
        if missing := {"file", "schema", "kind", "language", "fields"} - row.keys():
            raise BadInput(f"{place}: no {', '.join(sorted(missing))}.", hint=_HINT)
        rows.append(row)
    cases = []
    for done, row in enumerate(rows, 1):
        # 2. Read the document and compare each field.
        path, outcomes = folder / row["file"], {}
        values = read(path, row["schema"])
        for name, expected in row["fields"].items():
            accept = row.get("accept", {}).get(name, ())
            outcomes[name] = judge(name, expected, values.get(name), accept)
        case = {"id": row["file"], "kind": row["kind"], "language": row["language"]}
        case["outcomes"] = outcomes
        case["absent"] = [name for name, value in row["fields"].items() if value is None]
        case["correct"] = list(outcomes.values()).count("right") / max(1, len(outcomes))
        cases.append(case)
        if progress:
            progress(done, len(rows))
    # 3. Average.
    return Report(f"Documents in {folder.name}", _figures(cases), cases)


def judge(field: str, expected: str | None, value: object, accept: Iterable[str] = ()) -> str:
    """One of OUTCOMES for a value; `accept` has further values that are right.

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


def outcome_table(report: Report) -> str:
    """A Markdown table of the outcomes of each field in a report of `evaluate`."""
    counts = Counter(pair for case in report.cases for pair in case["outcomes"].items())
    names = dict.fromkeys(name for name, _ in counts)
    rows = [(name, *(counts[name, outcome] for outcome in OUTCOMES)) for name in names]
    return markdown_table(("field", *OUTCOMES), rows) + "\n"


def _figures(cases: Sequence[Mapping[str, Any]]) -> dict[str, Figure]:
    """Shares of right fields in all and by kind, field and language."""
    figures: dict[str, Figure] = {}
    for name, group in [("all", cases), *_groups(cases, "kind")]:
        outcomes = [outcome for case in group for outcome in case["outcomes"].values()]
        absent = sum(len(case["absent"]) for case in group)
        figures[f"{name}: fields right"] = Figure.share(outcomes.count("right"), len(outcomes))
        figures[f"{name}: invented"] = Figure.share(outcomes.count("invented"), absent)
    whole = [case["correct"] == 1 for case in cases]
    figures["documents all right"] = Figure.share(sum(whole), len(whole))
    for name in dict.fromkeys(name for case in cases for name in case["outcomes"]):
        outcomes = [case["outcomes"].get(name) for case in cases]
        figures[f"{name} right"] = Figure.share(outcomes.count("right"), len(outcomes))
    for name, group in _groups(cases, "language"):
        outcomes = [outcome for case in group for outcome in case["outcomes"].values()]
        figures[f"{name}: fields right"] = Figure.share(outcomes.count("right"), len(outcomes))
    return figures


def _groups(cases: Sequence[Mapping[str, Any]], key: str) -> list[tuple[str, list[Any]]]:
    names = sorted({case[key] for case in cases})
    return [(name, [case for case in cases if case[key] == name]) for name in names]


def _letters(text: str) -> str:
    """Text without spaces, with one form of dashes and apostrophes."""
    text = unicodedata.normalize("NFKC", text)
    return re.sub(r"\s+", "", text).translate(str.maketrans("‐‑–—−’‘´`", "-----''''"))


def _plain(value: object) -> str:
    return _letters(str(value)).casefold()


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
