"""Finds who issued the document, and to whom.

    score_vendors(document, field)       # every line of text as a name, with its evidence
    score_customers(document, field)     # the first line under "Bill to"

A vendor's name is large, at the top, has a legal form, or returns in a domain or in the footer. It
is not a title, an address, a slogan, or in the customer's block. Word lists are in `parties.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz

from vision_app.extract.document import Cell, Document, same_column, same_row
from vision_app.extract.schemas import Field
from vision_app.extract.scoring import Candidate, score_texts
from vision_app.extract.values import find_amounts, find_dates, squeeze
from vision_app.ocr.page import around

_DOMAIN = re.compile(r"(?:@|www\.|https?://)([\w\-.]+)\.[a-z]{2,}", re.I)
_CONTACT = re.compile(
    r"@|www\.|https?:|\.(?:com|de|fr|net|org|co\.uk)\b|\b(?:tel|fax|phone)\b", re.I
)
_PRICE = re.compile(r"(?<![\d.,])\d[\d ]*(?:[.,]\d{3})*[.,]\d\d(?![\d.,]*\d)")
_SEPARATOR = re.compile(r"[·•|*,]|\s[-–]\s")
_MAILERS = {"gmail", "outlook", "yahoo", "hotmail", "gmx", "web", "icloud", "orange", "mail"}
_SENTENCE = re.compile(r"[^\W\d_]{3}[.!?…]$|[,!?]|\s[·•|]\s|[“„»]")
# The line above the window of an envelope: name, street and town, separated.
_SENDER = re.compile(r"^(.{3,}?)\s*(?:[·•|*]|\s[-–]\s|,)\s*(?=.*\d)")
_NAME_ENDING = re.compile(r"[\s,]*[(\[][^)\]]*\d[^)\]]*[)\]]\s*$|^[\W_]+|[\s:;,|*\-–_]+$")


# Forms of address: a person who is addressed is the customer. Without "Dr", as in a practice.
_PERSON = re.compile(
    r"(?:mr|mrs|ms|miss|herrn?|frau|familie|mme|mlle|monsieur|madame|sra?|sig(?:\.ra)?|dhr|mevr|hr|fru)"
    r"\.?\s",
    re.I,
)


def score_vendors(document: Document, _: Field) -> list[Candidate]:
    """Every line of the first page that could be the vendor's name."""
    first = document.on_page.get(document.pages[0].number, []) if document.pages else []
    customers = _customer_block(document, first)
    candidates = []
    for cell in first:
        name = cell.text
        labels = [
            label for label in document.labels[cell] if "vendor" in label.kinds and label.start == 0
        ]
        if labels and (":" in name[labels[0].end : labels[0].end + 2] or labels[0].end > 7):
            name = name[labels[0].end :].strip(" :")
        sender = _SENDER.match(name)
        name = sender[1] if sender and not re.search(r"\d", sender[1]) else name
        start = cell.text.index(name)
        length = len(name)
        name = clean_name(name)
        if len(squeeze(name)) < 2 or sum(map(str.isalpha, name)) < 2:
            continue
        candidate = Candidate(name, cell, start, start + length, 0.0)
        _score_text(candidate, document, name)
        _score_place(candidate, document, first, cell in customers)
        _score_support(candidate, document, name)
        if sender and "legal form" in candidate.reasons:
            candidate.add("with its address", 0.42 * ("middle" in candidate.reasons))
        candidates.append(candidate)
    _merge_lines(document, candidates)
    return candidates


def clean_name(name: str) -> str:
    """A name without registration numbers in brackets and punctuation at the ends.

    >>> clean_name("ABC Trading Sdn Bhd (123456-A)"), clean_name("* Café Luna *")
    ('ABC Trading Sdn Bhd', 'Café Luna')
    """
    before = ""
    name = re.sub(r"\bS\.\s?r\.\s?[1I]\b", "S.r.l", name)
    while before != name:
        before, name = name, _NAME_ENDING.sub("", name).strip()
    return name.replace(" ", "") if re.fullmatch(r"(?:\w ){2,}\w", name) else name


def _score_text(candidate: Candidate, document: Document, name: str) -> None:
    """What the words say: a legal form speaks for a name; titles, addresses and slogans against."""
    words = [squeeze(word) for word in re.findall(r"[^\W\d_]+(?:['’.&\-][^\W\d_]+)*", name)]
    legal = _legal_form().search(name)
    candidate.add("legal form", 0.3 * bool(legal))
    covered = sum(
        label.end - label.start
        for label in document.labels[candidate.cell]
        if label.end <= candidate.end
    )
    share = covered / max(len(candidate.cell.text), 1)
    if candidate.start == 0:
        title = any(
            "document_title" in label.kinds or "invoice_number" in label.kinds
            for label in document.labels[candidate.cell]
        )
        candidate.add("label", -(0.7 if share > 0.6 else 0.35 * title if not legal else 0.0))
    digits = sum(map(str.isdigit, name))
    address = [w for w in words if w in _words("address_words")] or [
        w for w in words if w.endswith(tuple(_words("address_suffixes"))) and len(w) > 6
    ]
    if digits:
        shop = re.fullmatch(r"[^\d,]{4,}\s#?\d{3,4}", name) and not address  # with its number
        candidate.add("digits", -0.02 if shop else -0.12 - 0.03 * digits)
        candidate.add("address", -0.3 * bool(address))
    elif not legal:
        candidate.add("address", -0.12 * bool(set(address) - {"dr"}))
    slogan = sum(w in _words("slogan_words") for w in words)
    if not legal:
        candidate.add("slogan", -0.14 * slogan)
        candidate.add("sentence", -0.25 * bool(_SENTENCE.search(name)))
    candidate.add("contact", -0.6 * bool(_CONTACT.search(name)))
    candidate.add("person", -0.3 * bool(_PERSON.match(name)))
    if find_dates(name) or any("." in v.raw or "," in v.raw for v in find_amounts(name)):
        candidate.add("value", -0.5)
    if ":" in name:
        candidate.add("colon", -0.35)


def _score_place(
    candidate: Candidate, document: Document, cells: Sequence[Cell], in_customer: bool
) -> None:
    """Where it is and how large: letterheads are large and at the top."""
    cell = candidate.cell
    top = min((c.box[1] for c in cells), default=0.0)
    bottom = max((c.box[3] for c in cells), default=1.0)
    depth = (cell.box[1] - top) / max(bottom - top, 1)
    above = {
        round(c.box[1] / document.height)
        for c in cells
        if c.box[3] <= cell.box[1] + 2 and not document.labels[c]
    }
    candidate.add("top", max(0.0, 0.48 - 0.04 * len(above)) * (depth < 0.5))
    size = document.size(cell)
    candidate.add("large", min(0.35, 0.35 * max(0.0, size - 1.1)) * (depth < 0.5))
    if size < 0.97 or (size < 1.07 and not _has_address(document, cell)):
        candidate.add("as small as the text", -0.06)
    candidate.add("middle", -0.35 * (0.35 < depth < 0.8) - 0.15 * (depth >= 0.8))
    candidate.add("customer's block", -0.8 * in_customer)
    priced = any(
        c.box[0] > cell.box[0] and same_row(c.box, cell.box) and _PRICE.search(c.text)
        for c in cells
    )
    candidate.add("row with an amount", -0.4 * priced)
    heads = [
        c
        for c in cells
        for label in document.labels[c]
        if "vendor" in label.kinds
        and label.start == 0
        and (
            (c is cell and candidate.start > 0)
            or (c is not cell and len(c.text) <= label.end + 2 and _next_to(c, cell))
        )
    ]
    if heads:
        # In a row with a number or a date, "seller" is the person at the counter.
        row = [c for c in cells if c is not heads[0] and same_row(c.box, heads[0].box)]
        clerk = any(
            label.kinds - {"customer", "vendor"} and c.text[-1] != ":"
            for c in row
            if c is not cell
            for label in document.labels[c]
        )
        candidate.add("vendor label", 0.1 if clerk else 0.45)


def _has_address(document: Document, cell: Cell) -> bool:
    """Whether one of the next two lines has the digits of an address or a telephone."""
    below = [
        c
        for c in document.on_page[cell.page]
        if 0 <= c.box[1] - cell.box[3] + 0.5 * cell.height < 3 * cell.height
        and same_column(c.box, cell.box)
    ]
    return any(re.search(r"\d", c.text) and not find_dates(c.text) for c in below)


def _next_to(label: Cell, cell: Cell) -> bool:
    gap = cell.box[1] - label.box[3]
    below = same_column(label.box, cell.box) and -2 <= gap < 1.2 * label.height
    beside = same_row(label.box, cell.box) and 0 <= cell.box[0] - label.box[2] < 12 * label.height
    return below or beside


def _score_support(candidate: Candidate, document: Document, name: str) -> None:
    """A domain or another line that repeats the name: a footer, a bank account's holder."""
    stems = {squeeze(part) for part in _domains(document)}
    core = squeeze(_legal_form().sub("", name))
    candidate.add(
        "domain",
        0.25
        * any(
            len(stem) > 3
            and len(core) > 3
            and (
                stem in core
                or core in stem
                or fuzz.ratio(stem, core) > 75
                or _initials(name) == stem
            )
            for stem in stems
        ),
    )
    whole = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.I)
    repeated = len(core) > 4 and any(
        whole.search(other.text) for other in document.cells if other is not candidate.cell
    )
    candidate.add("repeated", 0.15 * repeated)


def _initials(name: str) -> str:
    return squeeze("".join(word[0] for word in re.findall(r"[^\W\d_]+", name)))


def _domains(document: Document) -> list[str]:
    candidates = []
    for cell in document.cells:
        for match in _DOMAIN.finditer(cell.text.replace(" ", "")):
            parts = [
                p
                for p in match[1].lower().split(".")
                if p not in ("www", "com", "co", "mail", "shop", "info")
            ]
            candidates += [p for p in parts[-1:] if p not in _MAILERS]
    return candidates


def _customer_block(document: Document, cells: Sequence[Cell]) -> set[Cell]:
    """The cells under or beside a label such as "Bill to", down to a gap."""
    block: set[Cell] = set()
    for cell in cells:
        labels = [
            label
            for label in document.labels[cell]
            if "customer" in label.kinds and label.start == 0
        ]
        if not labels:
            continue
        label = labels[0]
        rest = cell.text[label.end :].strip(" :,.")
        if rest and not re.match(r"\s*[:.]|\s\S", cell.text[label.end :]):
            continue
        short = label.end <= 4  # "To", "An": prepositions at the start of other texts
        if rest and short and ":" not in cell.text:
            continue
        block.add(cell)
        bottom, left = cell.box, cell.box[0]
        for other in cells:
            gap = other.box[1] - bottom[3]
            beside = (
                same_row(other.box, cell.box) and 0 <= other.box[0] - cell.box[2] < 6 * cell.height
            )
            aligned = abs(other.box[0] - left) < 2 * cell.height
            if other is not cell and (
                (beside and not rest)
                or (
                    aligned
                    and -2 <= gap < 1.3 * max(document.height, cell.height)
                    and len(block) < 40
                )
            ):
                if any(
                    label.kinds & {"vendor", "item_header"} and label.start == 0
                    for label in document.labels[other]
                ):
                    break
                block.add(other)
                if not beside:
                    bottom = around([bottom, other.box])
                elif not rest:
                    left = other.box[0]
    return block


def _merge_lines(document: Document, candidates: list[Candidate]) -> None:
    """A name over two lines: repeated in one, or in the same large print, or its legal form."""
    by_cell = {candidate.cell: candidate for candidate in candidates}
    lines = [squeeze(_SEPARATOR.sub("#" * 9, cell.text)) for cell in document.cells]
    for candidate in sorted(candidates, key=lambda c: -c.score)[:4]:
        cell = candidate.cell
        for other in document.on_page[cell.page]:
            second = by_cell.get(other)
            gap = other.box[1] - cell.box[3]
            if (
                second is None
                or other is cell
                or "label" in candidate.reasons
                or not same_column(cell.box, other.box)
                or not -0.4 * cell.height <= gap < 0.7 * cell.height
            ):
                continue
            name = f"{candidate.value} {second.value}"
            whole = squeeze(name)
            repeated = whole.isalpha() and any(
                fuzz.partial_ratio(whole, line) > 85
                for line in lines
                if len(line) >= len(whole) - 1
            )
            legal = [bool(_legal_form().search(str(c.value))) for c in (candidate, second)]
            form = _legal_form().search(str(second.value))
            only_form = form and len(form[0]) >= 0.7 * len(str(second.value))
            ending = re.search(r"(?:&|\bund|\band|\bet|\be|\by|-)\s*$", str(candidate.value))
            separate = legal[1] and not only_form and _is_other_name(name, str(second.value))
            similar = 0.85 < document.size(other) / document.size(cell) < 1.18
            large = document.size(cell) > 1.25 and second.score > 0.45
            if (
                (repeated and not separate)
                or only_form
                or ending
                or (similar and not separate and not legal[0] and (large or legal[1]))
            ):
                candidate.value = name
                candidate.add("two lines", 0.05 + max(0.0, second.score - candidate.score))
                candidate.add("repeated", 0.15 * repeated)
                break


def _is_other_name(both: str, second: str) -> bool:
    """Whether the second of two lines is the company's legal name, below that of the shop."""
    first = both.removesuffix(f" {second}")
    words = [{squeeze(word) for word in name.split() if len(word) > 3} for name in (first, second)]
    bare = _legal_form().sub("", second)
    return bool(words[0] & words[1]) or first.isupper() != bare.isupper()


def respell(document: Document, winner: Candidate) -> None:
    """Take the spelling of a repetition that OCR read with more confidence."""
    name = str(winner.value)
    own = min(word.confidence for word in winner.cell.words)
    for cell in document.cells:
        other = clean_name(cell.text)
        sure = min(word.confidence for word in cell.words)
        if (
            cell is not winner.cell
            and len(name) == len(other) > 6
            and sure > own
            and name.isupper() == other.isupper()
            and 88 < fuzz.ratio(squeeze(name), squeeze(other)) < 100
        ):
            winner.value, own = other, sure


def score_customers(document: Document, target: Field) -> list[Candidate]:
    """The name under or beside a label of the customer."""
    named = Field(
        target.name, "text", {"customer": 1.0, **target.roles}, target.labels, target.pattern
    )
    candidates = []
    for candidate in score_texts(document, named):
        text = str(candidate.value)
        digits = sum(map(str.isdigit, text))
        candidate.add("digits", -0.3 * (digits > 2))
        candidate.add("short", -0.5 * (sum(map(str.isalpha, text)) < 3))
        if document.labels[candidate.cell] and candidate.start == 0:
            candidate.add("label", -0.3)
        candidates.append(candidate)
    return candidates


@lru_cache(1)
def _data() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("parties.toml").read_text("utf-8"))


@lru_cache(4)
def _words(name: str) -> frozenset[str]:
    return frozenset(squeeze(word) for word in _data()[name])


@lru_cache(1)
def _legal_form() -> re.Pattern[str]:
    forms = sorted(_data()["legal_forms"], key=len, reverse=True)
    # Short ones in the spelling of the list, since "as", "me" and "ag" are words as well.
    long = [form for form in forms if len(re.sub(r"\\s|\W", "", form)) > 5]
    return re.compile(
        rf"(?<=[\s,.])(?:{'|'.join(forms)}|(?i:{'|'.join(long)}))(?=$|[\s,.)(])|^(?:PT|CV)\s|^(?i:{'|'.join(long)})$|株式会社"
    )
