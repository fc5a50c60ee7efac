"""Find the order that a mail is about.

    find_order("Where is order 10240? Order 10234 arrived fine.", subject="", quoted="")  # "10240"

The new text counts first, then the subject, then the quoted thread. Numbers of invoices, parcels,
customers and telephones are passed over. Whether the order exists is left to the shop's database.
"""

from __future__ import annotations

import re

from agentic_workflow.triage.words import clauses, has, plain, words

_ID = re.compile(
    r"(?<![\w.,/+-])(?P<mark>#\s?|(?:[a-z]{1,5}[-_/]){1,2}|[a-z]{2,4}(?=\d{4}))?"
    r"(?P<digits>\d{3,}(?:[-/]\d{3,})*)(?![\w/+€$£%]|[.,]\d|-\d)"
)
_LINK = (  # what may come between "order" and its number
    r"(?:[\s:#.,()\"'=-]|n°|\b(?:no|nr|num|numero|nummer|number|n|id|ref|code|reference|referenz"
    r"|referencia|is|was|ist|war|lautet|est|es|mit|with|under|unter|von|vom|der|die|den|the|with|of"
    r"|from|la|le|el|de|du|del|con|portant|sous|meine|mein|und|and|et|y|num|that|one|placed|below"
    r"|above|called)\b|n[or](?=\d)){0,14}"
)
_KEYED = re.compile(rf"(?<!\w){words('order')}{_LINK}$")
_OTHER = re.compile(rf"(?<!\w){words('other number')}{_LINK}(?:[a-z]{{1,3}}-|re |rg |fac )?$")
_LISTED = re.compile(r"\d{3,}\s?(?:,|/|&|and|und|et|y|e|or|oder|ou|o|sowie|,? not|,? nicht)\s+#?$")
_DENIED = re.compile(r"\b(?:not|nicht|pas|no|n'est pas)\s(?:\w+\s){0,3}?#?$")
_MARK = re.compile(
    r"o|or|ord\w*|a|b|w|so|po|be|bs|bst|best\w*|au|auf|co|com|cm|cmd|cde|pe|ped\w*|sh|shop|web"
)
_UNIT = re.compile(
    r"\s?(?:€|eur|euros?|\$|usd|dollars?|£|gbp|chf|franken|francs?|pfund|dolares|libras|%|uhr|h\b"
    r"|w\b|watt|v\b|volt|mah|ml|cm|mm|kg|km|g\b|gb|lumen|times|days|tage|jours|dias|stuck|pieces)"
)
_POSTCODE = re.compile(r"(?:^|[,\n(]|\b[A-Z]{1,2}-)\s*\d{4,5}(?= [A-ZÄÖÜÉ][\w-]{2,}(?!\w* \d))")
_PHONE = re.compile(r"(?<![\w-])(?:\+|00|0)\d{1,4}[\s/()-]*\d[\d\s/()-]{5,}\d")
_ADDRESS = re.compile(r"https?://\S+|\S+@\S+")


def find_order(text: str, subject: str = "", quoted: str = "") -> str | None:
    """The digits of the order's number; None if the mail names none.

    >>> find_order("Tracking 00340434161094 says delivered, but order no. 10234 never came.")
    '10234'
    """
    best: tuple[float, str] | None = None
    in_subject = _candidates(subject)
    for part in (_candidates(text), in_subject, _candidates(quoted)):
        # The first of equally good ones, but the one that the subject names too is better.
        for score, digits in part:
            score += 1.0 * any(digits == other for _, other in in_subject)
            if best is None or score > best[0]:
                best = score, digits
        if best is not None:
            return best[1]
    return None


def _candidates(text: str) -> list[tuple[float, str]]:
    for noise in (_ADDRESS, _POSTCODE, _PHONE):
        text = noise.sub(lambda match: "\n" if match[0][:1] in ",\n" else " ", text)
    return [hit for clause in clauses(plain(text)) for hit in _scored(clause)]


def _scored(clause: str) -> list[tuple[float, str]]:
    hits: list[tuple[float, str]] = []
    for match in _ID.finditer(clause):
        before, after = clause[: match.start()], clause[match.end() :]
        digits = re.sub(r"\D", "", match["digits"])
        score = _kind(match, before, after, digits, listed=bool(hits and _LISTED.search(before)))
        if score <= 0:
            continue
        score += 1.0 * has("problem", clause) - 1.5 * has("settled", clause)
        score += 2.0 * has("correction", before[-40:]) - 4.0 * bool(_DENIED.search(before[-30:]))
        score -= 4.0 * bool(re.match(r",? (?:nicht|not|pas|no)\b(?! \w+n)", after[:5]))
        hits.append((score, digits))
    return hits


def _kind(match: re.Match[str], before: str, after: str, digits: str, *, listed: bool) -> float:
    """How certain it is from the words next to a number that it is an order's; 0 if it is not."""
    if _KEYED.search(before) or re.match(r"\s?\(?(?:order|bestellung|commande|pedido)\b", after):
        return 4.0
    if _OTHER.search(before):
        return 0.0
    if listed:
        return 4.0
    mark = (match["mark"] or "").strip(" #-_/")
    if len(digits) > 8 or _UNIT.match(after):
        return 0.0
    if mark:
        return 3.5 if _MARK.fullmatch(mark) and len(digits) >= 4 else 0.0
    if match["mark"] and not mark:  # "#10234"
        return 3.0
    number = int(match["digits"]) if match["digits"].isdecimal() else 0
    plausible = 4 <= len(digits) <= 7 and number and not 1900 <= number <= 2100 and number % 1000
    return 1.0 if plausible and digits[0] != "0" else 0.0
