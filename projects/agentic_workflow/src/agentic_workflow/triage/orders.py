"""Find the order that a mail is about.

    find_order("Where is order 10240? Order 10234 arrived fine.")    # "10240"

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
_LINK = rf"(?:[\s:#.,()\"'=-]|n°|\b{words('link')}\b|n[or](?=\d)){{0,14}}"
_KEYED = re.compile(rf"(?<!\w){words('order')}{_LINK}$")
_KEYED_AFTER = re.compile(r"\s?\(?(?:order|bestellung|commande|pedido)\b")
_OTHER = re.compile(rf"(?<!\w){words('other number')}{_LINK}(?:[a-z]{{1,3}}-|re |rg |fac )?$")
_LISTED = re.compile(r"\d{3,}\s?(?:,|/|&|and|und|et|y|e|or|oder|ou|o|sowie|,? not|,? nicht)\s+#?$")
_DENIED = re.compile(r"\b(?:not|nicht|pas|no|n'est pas)\s(?:\w+\s){0,3}?#?$")
_DENIED_AFTER = re.compile(r",? (?:nicht|not|pas|no)\b(?! \w+n)")
_POSTCODE = re.compile(
    r"(?:^|[,\n(]|\b[A-Z]{1,2}-|\b(?:in|à|en)\s)\s*\d{4,5}(?= [A-ZÄÖÜÉ][\w-]{2,}(?!\w* \d))"
)
_PHONE = re.compile(r"(?<![\w-])(?:\+|00|0)\d{1,4}[\s/()-]*\d[\d\s/()-]{5,}\d")
_ADDRESS = re.compile(r"https?://\S+|\S+@\S+")


def find_order(text: str, subject: str = "", quoted: str = "") -> str | None:
    """The digits of the order's number; None if the mail names none.

    >>> find_order("Tracking 00340434161094 says delivered, but order no. 10234 never came.")
    '10234'
    """
    in_subject = _candidates(subject)
    for candidates in (_candidates(text), in_subject, _candidates(quoted)):
        if candidates:  # the first of equally good ones; repeated ones are better
            mentions = [digits for _, digits in in_subject + candidates]
            return max(candidates, key=lambda hit: hit[0] + mentions.count(hit[1]))[1]
    return None


def _candidates(text: str) -> list[tuple[float, str]]:
    """Numbers that may be an order's, each with a score, in the order of the text."""
    for noise in (_ADDRESS, _POSTCODE, _PHONE):
        text = noise.sub(lambda match: "\n" if match[0][:1] in ",\n" else " ", text)
    hits: list[tuple[float, str]] = []
    for clause in clauses(plain(text)):
        listed = False
        for match in _ID.finditer(clause):
            before, after = clause[: match.start()], clause[match.end() :]
            score = _certainty(match, before, after, listed=listed)
            if score <= 0:
                continue
            listed = True
            score += 1.0 * has("problem", clause) - 1.5 * has("settled", clause)
            score += 2.0 * has("correction", before[-40:]) - 4.0 * bool(
                _DENIED.search(before[-30:])
            )
            score -= 4.0 * bool(_DENIED_AFTER.match(after[:5]))
            hits.append((score, re.sub(r"\D", "", match["digits"])))
    return hits


def _certainty(match: re.Match[str], before: str, after: str, *, listed: bool) -> float:
    """How certain the words next to a number make that it is an order's; 0 if it is not."""
    mark, digits = (match["mark"] or "").strip(" -_/"), match["digits"]
    if _KEYED.search(before) or _KEYED_AFTER.match(after):
        return 4.0
    if _OTHER.search(before):
        return 0.0
    if listed and _LISTED.search(before):
        return 4.0
    if len(digits) > 8 or not digits.isdecimal() or re.match(rf"\s?{words('unit')}(?!\w)", after):
        return 0.0
    if mark and mark != "#":
        return 3.5 if re.fullmatch(words("mark"), mark) and len(digits) >= 4 else 0.0
    if mark:
        return 3.0
    year_or_count = 1900 <= int(digits) <= 2100 or int(digits) % 1000 == 0
    return 1.0 if 4 <= len(digits) <= 7 and digits[0] != "0" and not year_or_count else 0.0
