"""Find the order that a mail is about.

    find_order("Where is order 10240? Order 10234 arrived fine.")    # "10240"

The new text counts first, then the subject, then the quoted thread. Numbers of invoices, parcels,
customers and telephones are passed over. Whether the order exists is left to the shop's database.
"""

from __future__ import annotations

import re

from agentic_workflow.triage.offline.words import clauses, has, plain, rows, words

_ID = re.compile(words("order number"))
_LINK = rf"(?:[\s:#.,()\[\]*|\"'=-]|n°|\b{words('link')}\b|n[or](?=\d)){{0,14}}"
_KEYED = re.compile(rf"(?<!\w){words('order')}{_LINK}$")
_KEYED_AFTER = re.compile(r" ?\(?(?:order|bestellung|commande|pedido)\b(?![\s:.]*(?:n|#|\d))")
_OTHER = re.compile(rf"(?<!\w){words('other number')}{_LINK}(?:[a-z]{{1,3}}-|re |rg |fac )?$")
_LISTED = re.compile(r"\d{3,}\s?(?:,|/|&|and|und|et|y|e|or|oder|ou|o|sowie|,? not|,? nicht)\s+#?$")
_DENIED = re.compile(r"\b(?:not|nicht|pas|no|n'est pas)\s(?:\w+\s){0,3}?#?$")
_DENIED_AFTER = re.compile(r",? (?:nicht|not|pas|no)\b(?! \w+n)")
_ADDRESS_OR_DATE = re.compile(words("address or date"))
_NOISE = [re.compile(pattern) for pattern in rows("postcode or phone")]


def find_order(text: str, subject: str = "", quoted: str = "") -> str | None:
    """The digits of the order's number; None if the mail names none.

    >>> find_order("Tracking 00340434161094: delivered, but order no. 10234 never came.")
    '10234'
    """
    places = [_candidates(text), _candidates(subject), _candidates(quoted)]
    # "Router 7590" is not an order of a shop whose orders look like 3391775.
    lengths = {len(digits) for place in places for score, digits, sure in place if sure}
    for place in places:
        hits = [hit for hit in place if hit[2] or not lengths or len(hit[1]) in lengths]
        if hits:  # the first of equally good ones; repeated ones are better
            mentions = [hit[1] for hit in places[1] + hits]
            return max(hits, key=lambda hit: hit[0] + mentions.count(hit[1]))[1]
    return None


def _candidates(text: str) -> list[tuple[float, str, bool]]:
    """Numbers that may be an order's: score, digits, and whether the words next to it say so."""
    text = _ADDRESS_OR_DATE.sub(" ", text)
    for noise in _NOISE:
        text = noise.sub(_blank, text)
    hits: list[tuple[float, str, bool]] = []
    for clause in clauses(plain(text)):
        listed = False
        for match in _ID.finditer(clause):
            before, after = clause[: match.start()], clause[match.end() :]
            certainty = _certainty(match, before, after, listed=listed)
            if not certainty:
                continue
            listed = True
            score = certainty - 1.5 * has("settled", clause)
            denied = _DENIED.search(before[-30:]) or _DENIED_AFTER.match(after[:5])
            hits.append((score - 4.0 * bool(denied), _digits(match), certainty > 2))
    return hits


def _blank(noise: re.Match[str]) -> str:
    """What stays of a number that is not an order's; the number itself after "order"."""
    if noise[0][0] not in ",\n(" and _KEYED.search(plain(noise.string[: noise.start()][-60:])):
        return noise[0]
    return "\n" if noise[0][0] in ",\n" else " "


def _digits(match: re.Match[str]) -> str:
    return re.sub(r"\D", "", (match["mark"] or "") + match["digits"])


def _certainty(match: re.Match[str], before: str, after: str, *, listed: bool) -> float:
    """How certain the words next to a number make that it is an order's; 0 if it is not."""
    mark, digits, number = (match["mark"] or "").strip(" -_/"), match["digits"], _digits(match)
    sum_or_size = re.match(rf",-|\.-|\s?{words('unit')}(?!\w)", after)
    if len(number) < 3 + (number != digits) or sum_or_size:
        return 0.0
    if _KEYED.search(before):
        return 4.0
    if _OTHER.search(before) or re.fullmatch(words("other mark"), mark) or " " in digits:
        return 0.0
    if _KEYED_AFTER.match(after) or (listed and _LISTED.search(before)):
        return 4.0
    if mark:
        of_order = re.fullmatch(words("mark"), mark) and len(number) >= 4
        return 3.5 if of_order else 1.5 * (5 <= len(number) <= 12)
    if match["hash"]:
        return 3.0
    year_or_count = 1900 <= int(number) <= 2100 or int(number) % 1000 == 0
    if number[0] == "0" or year_or_count or not 4 + 2 * (number != digits) <= len(number) <= 9:
        return 0.0
    return 1.0
