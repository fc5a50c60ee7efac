"""Find the sum that a mail asks for or disputes.

    find_amount("You charged 89.90 € twice.", claim=True)    # Amount(Decimal("89.90"), "EUR", …)

Of several sums the one closest to the request counts; prices, vouchers and past refunds do not.
Whether the mail claims anything at all is decided by `fields`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache

from agentic_workflow.triage.words import clauses, has, matcher, plain, tables, words

_CURRENCIES = {code: "|".join(row) for code, row in tables("grammar.toml")["currency"].items()}
_SIGN = "(?:" + "|".join(_CURRENCIES.values()) + ")"
_NUMBER = r"\d{1,3}(?:[.,' ]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d{1,2})?(?!\d)"
_CENTS = (  # "100 Euro und 50 Cent", "12€50", "12 euros 50."
    r"\s?(?:(?:und |and |et |y |con )?(?P<cents>\d{1,2})\s?cent\w*"
    rf"|(?P<attached>\d\d)(?!\w|[.,]\d|\s?{words('unit')}\b))"
)
_MONEY = re.compile(
    rf"(?<![\w.,])(?P<before>{_SIGN})\s?(?P<n1>{_NUMBER})(?:,-|\.-|,--)?"
    rf"|(?<![\w.,/])(?P<n2>{_NUMBER})(?:,-|\.-|,--)?\s?(?P<after>{_SIGN})(?:{_CENTS})?"
)
_BARE = re.compile(words("bare sum"))
_DIFFERENCE = re.compile(rf"\s?(?:(?:of|de|an) )?(?:{words('difference')}|{words('short')})\b")
_DIFFERENCE_OF = re.compile(rf"\b{words('difference of')} $")
_OPTION = re.compile(r"(?:^|\n)[\s>]*(?:[1-3a-c][).:]|[-*•])\s")


@dataclass(frozen=True)
class Amount:
    """A sum in a mail; `currency` is None if the mail names none."""

    value: Decimal
    currency: str | None
    clause: str
    score: float = 0.0
    start: int = 0
    difference: bool = False  # "17,50 zu wenig": it is the difference of others


def find_amount(text: str, *, claim: bool) -> Amount | None:
    """The sum asked for; with `claim`, also a sum whose own sentence does not ask for anything.

    >>> find_amount("Mixer 129,90 €, Kabel 20 €: bitte das Kabel erstatten", claim=True).value
    Decimal('20')
    """
    text = with_digits(plain(text))
    parts = clauses(text)
    amounts = [a for c in parts for a in _amounts(c, _MONEY) or _asked_bare(c)]
    amounts = amounts or [a for c in parts for a in _amounts(c, _BARE)]
    likely = [a for a in amounts if a.score >= (-2 if claim else 1)]
    if claim and not likely and has("ask back", text):  # a discount that was not deducted
        likely = [a for a in amounts if has("discount", a.clause[a.start :][:25])]
    if not likely:
        return None
    best = max(likely, key=lambda a: (a.difference, a.score))
    if best.difference or _names_the_sum(best, amounts):
        return best
    value = _computed(text, amounts) or _added(text, likely, best.score)
    return replace(best, value=value) if value else best


def find_accepted(acceptance: str, quoted: str) -> Amount | None:
    """The sum of an offer in the thread that is accepted by its place, its number, or at all."""
    numbers = {parse_number(number) for number in re.findall(_NUMBER, with_digits(acceptance))}
    named = [a for clause in clauses(plain(quoted)) for a in _amounts(clause, _MONEY)]
    options = _OPTION.split(plain(quoted))[1:] or re.split(words("or"), plain(quoted))
    for place, name in enumerate(("first", "second", "third")):
        if has(name, acceptance) and len(options) > 1:
            return find_amount("".join(options[place : place + 1]), claim=True)
    return next((a for a in named if a.value in numbers), None) or find_amount(quoted, claim=True)


def _computed(text: str, amounts: Sequence[Amount]) -> Decimal | None:
    """Half of a price, several at a price each, a difference, or the total the mail names."""
    values = sorted({a.value for a in amounts})
    one = has("charged twice", text) or has("one of two", text)
    asked = [n for c in clauses(text) if has("ask back", c) for n in _counts(c)]
    for amount in amounts:
        before, around = amount.clause[: amount.start], amount.clause[max(0, amount.start - 12) :]
        if has("half", before[-45:]):
            return amount.value / 2
        # "Six cups at 9 € each. Please refund the two broken ones.", "I returned four; 30 € each."
        each = has("each", around[:45])
        counts = (each and asked) or _counts(before) or (_counts(text) if each else [])
        totals = [] if one else [count * amount.value for count in counts]
        if total := next((total for total in totals if total in values), None):
            return total
        if totals and each and (asked or len(values) == 1):
            return totals[0]
    if has("difference", text) or has("remaining", text):
        rest = {x - y: {x, y} for x in values for y in values if y < x and x - y in values}
        for amount in reversed(amounts):  # the difference is named last
            if amount.value not in rest.get(amount.value, {amount.value}):
                return amount.value
    if has("difference", text):
        between = values[1] - values[0] if len(values) == 2 else None
        return None if between in values else between
    return values[-1] if len(values) > 2 and sum(values) == 2 * values[-1] else None


def _asked_bare(clause: str) -> list[Amount]:
    """Sums without a currency in a clause that asks for them ("refund me the 33.40")."""
    return _amounts(clause, _BARE) if has("ask back", clause) else []


def _names_the_sum(best: Amount, amounts: Sequence[Amount]) -> bool:
    """Whether a clause asks for this sum alone, so that nothing is to be computed from others."""
    alone = [a for a in amounts if a.clause == best.clause] == [best]
    relative = ("both", "each", "half", "difference", "remaining", "one of two", "charged twice")
    direct = has("ask back", best.clause) and not any(has(name, best.clause) for name in relative)
    totals = {count * best.value for count in _counts(best.clause[: best.start])}
    return alone and direct and totals.isdisjoint(a.value for a in amounts)


def _counts(text: str) -> list[int]:
    numbers = tables("grammar.toml")["numbers"]
    names = {name: n for n in range(2, 10) for name in [str(n), *numbers[str(n)]]}
    names |= dict.fromkeys(tables("grammar.toml")["pair"]["words"], 2)
    parts = re.findall(
        r"(?<![\w.,])(?:[^\W\d_]+(?!\w)|[^\W_]+(?!\w|[.,]\d|\.$|\. ))", text.replace("2x", "2 x")
    )
    return [names[word] for word in parts if word in names]


def _added(text: str, amounts: Sequence[Amount], best: float) -> Decimal | None:
    """Several items asked for together."""
    if not has("both", text) or has("charged twice", text):
        return None
    equal = {a.value for a in amounts if a.score == best}
    together = equal if len(equal) > 1 else {a.value for a in amounts}
    return sum(together, Decimal(0)) if 2 <= len(together) <= 4 else None


def _amounts(clause: str, pattern: re.Pattern[str]) -> list[Amount]:
    amounts = []
    for match in pattern.finditer(clause):
        group = match.groupdict()
        value = parse_number(group["n1"] or group["n2"])
        value += Decimal(group.get("cents") or group.get("attached") or 0) / 100
        sign = group.get("before") or group.get("after") or ""
        code = next((c for c, p in _CURRENCIES.items() if re.fullmatch(p, sign)), None)
        score = _relevance(clause, match.start(), match.end())
        before, after = clause[: match.start()], clause[match.end() :]
        rest = bool(_DIFFERENCE.match(after) or _DIFFERENCE_OF.search(before))
        amounts.append(Amount(value, code, clause, score + 6 * rest, match.start(), rest))
    return amounts


def _relevance(clause: str, start: int, end: int) -> float:
    """How much the words around a sum ask for it."""
    before, after = clause[max(0, start - 45) : start], clause[end : end + 30]
    score = 2.0 * has("ask back", clause) + has("want", clause) + has("dispute", clause)
    score += 0.5 * has("ask back", before[-40:] + after)
    score -= 6.0 * (has("no claim", before) or bool(matcher("voucher").match(after.strip(" ()"))))
    fee = has("fee", re.split(r"\d", before)[-1][-25:]) or has("fee", re.split(r"\d", after)[0])
    score += fee * (0.7 + 1.5 * has("unasked", clause))
    score -= 6.0 * (clause.endswith("?") and score == 0)  # "Is the lamp for 49 euros in stock?"
    return score - 1.5 * has("sum", before[-25:])


def parse_number(text: str) -> Decimal:
    """A number with the separators of any language.

    >>> [str(parse_number(n)) for n in ("1.150,00", "1,150.00", "1'150", "49,9", "1.150")]
    ['1150.00', '1150.00', '1150', '49.9', '1150']
    """
    text = text.rstrip(",.-")
    decimals = re.search(r"[.,](\d{1,2})$", text)
    whole = text[: decimals.start()] if decimals else text
    return Decimal(re.sub(r"\D", "", whole) + (f".{decimals[1]}" if decimals else ""))


@cache
def _number_words() -> tuple[dict[str, int], re.Pattern[str], re.Pattern[str]]:
    """The value of each word, the pattern of one word, and that of a whole number."""
    rows = tables("grammar.toml")["numbers"]
    values = {word: int(value) for value, row in rows.items() for word in row}
    name = f"(?:{'|'.join(sorted(values, key=len, reverse=True))})"
    link = "(?:and|und|et|y|con|point|komma|virgule|coma)"
    word = rf"{name}(?:(?:und)?{name})*"
    run = rf"(?<![\w'])(?<!\d ){word}(?:[ -](?:{link} )?{word})*(?![\w'])"
    return values, re.compile(rf"\b{link}\b|und|{name}"), re.compile(run)


def with_digits(text: str) -> str:
    """Plain text with its number words as digits, prices as they are spoken included.

    >>> with_digits("about a hundred and fifty; neunundvierzig neunzig")
    'about 150; 49.90'
    """
    return _number_words()[2].sub(_digits, text.replace("e vingt", "e-vingt"))


def _digits(run: re.Match[str]) -> str:
    values, word, _ = _number_words()
    parts, thousands, group, linked = [], 0, 0, False
    for name in word.findall(run[0]):
        if name not in values:
            linked = True
            continue
        value, rest = values[name], group % 100
        fits = rest % 10 == 0 and value < (20 if rest in (60, 80) else 10)
        if value == 1000:
            thousands, group = max(group, 1) * 1000, 0
        elif value == 100 and group < 10:
            group = max(group, 1) * 100
        # "zweihundert|neun", "vierzig|fünf", "soixante|dix", "neun und|vierzig"
        elif rest == 0 or (linked and rest < 10 < value) or fits:
            group += value
        else:  # "seventy nine | ninety five"
            parts.append(thousands + group)
            thousands, group = 0, value
        linked = False
    parts.append(thousands + group)
    if len(parts) == 2 and 10 <= parts[1] < 100:
        return "{}.{}".format(*parts)
    price = parts[0] > 1 and re.match(rf"\s{_SIGN}", run.string[run.end() :])
    return str(parts[0]) if len(parts) == 1 and (parts[0] >= 12 or price) else run[0]
