"""Text with its numbers, dates and units replaced by typed tokens.

tokens = tokenize("What is 15% of two thousand?")
tokens.text                        # 'what is P0 of N1 '
tokens.names["N1"].value           # 2000
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from multi_agent.offline.arithmetic.phrases import (
    FRACTIONS,
    LISTS,
    MONEY,
    SCALES,
    SPELLINGS,
    UNITS,
    alternatives,
    vocabulary,
)
from multi_agent.offline.arithmetic.values import evaluate, kind, quantity, text_of
from seedbed.errors import BadInput

_MONTHS = LISTS["months"].split()
_MONTH = "(?P<m>" + "|".join(rf"{m}|{m[:4]}\b\.?|{m[:3]}\b\.?" for m in _MONTHS) + ")"
_DAY, _YEAR = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?", r"(?:,? (?P<y>\d{4}))?"
_DATES = (
    r"(?P<y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)",
    r"(?P<d>\d{1,2})(?P<slash>[./])(?P<m>\d{1,2})(?P=slash)(?P<y>\d{4})",
    rf"{_DAY}(?: of)? {_MONTH}{_YEAR}",
    rf"{_MONTH} (?:the )?{_DAY}{_YEAR}",
    r"(?P<word>today|tomorrow|yesterday)",
)
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,? (?:the )?)?"
_HALF = r"(am|pm|a\.m\.?|p\.m\.?|o'clock)"
_TIME = rf"(\d{{1,2}}):([0-5]\d)(?: ?{_HALF})?(?![\d:])|(\d{{1,2}}) ?{_HALF}|(noon|midnight)"
_NUMBER = (
    r"(?:\d{1,3}(?:[,'\u00a0\u202f ]\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+"
    r"|\d{1,3}(?:\.\d{3}){2,}|\d+\.\d+|\d+,\d{1,2}|\d+|\.\d+)(?![\d]|[.,]\d)"
)
_LITERAL = rf"(?:{_NUMBER}|⟦\d+/\d+⟧)"
_NUMERAL = alternatives(LISTS["numerals"].split())
_NUMERALS = rf"\b(?:an? (?=[hmbt]\w+))?{_NUMERAL}(?:(?: and | point |[ -]){_NUMERAL})*\b"
_PART = alternatives([*FRACTIONS, *(f"{word}s" for word in FRACTIONS)])
_UNIT, _CURRENCY = alternatives(UNITS), alternatives(MONEY)
_PRICES = r"price|vat\b|tax|discount|bill|invoice|\bpay|\bpaid|interest|salary|budget"
_WEIGHTS = r"\b(kg|kilo|gram|ounce|lbs?\b|oz\b|weigh|heavy)"
_SYMBOLS = {"+": "plus", "-": "minus", "*": "times", "/": "slash", "^": "power", "=": "equals"}
_WORD = re.compile(r"[A-Z]\d+|[^\W\d_](?:[^\W\d_]|['-](?=\w))*|[-,.+*/^=;()]|\d\S*")


@dataclass(frozen=True)
class Token:
    """A value with the expression that it came from."""

    value: Any
    expression: str


@dataclass
class Tokens:
    """The text, in which each word and token ends with a space, and the values of its tokens."""

    text: str
    names: dict[str, Token] = field(default_factory=dict)
    computed: bool = False
    """Whether any value is the result of a calculation."""

    def add(self, value: Any, expression: str = "", letter: str = "") -> str:
        """The name of a new token: its kind and a number."""
        name = f"{letter or kind(value)}{len(self.names)}"
        self.names[name] = Token(value, expression or text_of(value))
        return name

    def compute(self, expression: str, slots: list[str] | tuple[str, ...]) -> Token:
        """The value of an expression over slots a, b, c …, and how it reads."""
        values: dict[str, Any] = {"year": quantity(1, "year"), "pi": quantity(Fraction(math.pi))}
        values["today"] = date.today()
        texts = {"today": "today", "year": "1 year", "pi": "pi"}
        for letter, words in zip("abcdef", slots, strict=False):
            parts = [self.names[name] for name in re.findall(r"[A-Z]\d+", words)]
            # A percentage enters an expression as a plain number.
            plain = [p.value.to("") if kind(p.value) == "P" else p.value for p in parts]
            values[letter] = plain if len(parts) > 1 else plain[0]
            inner = ", ".join(part.expression for part in parts)
            compound = len(parts) == 1 and re.search(r"[-+*/,] ", inner)
            texts[letter] = f"({inner})" if compound else inner
        text = re.sub(r"\b(?:[a-f]|today|year|pi)\b", lambda match: texts[match[0]], expression)
        return Token(evaluate(expression, values), text)

    def replace(self, pattern: str, function: Callable[[re.Match[str]], str | None]) -> None:
        """Replace every match outside other words and tokens; None leaves it as it is."""

        def substitute(match: re.Match[str]) -> str:
            text = function(match)
            return match.group() if text is None else f" {text} "

        text = re.sub(rf"(?<![\w.⟦])(?:{pattern})", substitute, self.text)
        self.text = re.sub(r"\s+", " ", text)


def tokenize(task: str) -> Tokens:
    """Raises BadInput for a date that does not exist or is ambiguous."""
    text = task.lower()
    for old, new in SPELLINGS.items():
        text = re.sub(old, new, text)
    if re.search(r"interest|compound|grow|shrink|depreciate|loses|increases|rises", text):
        text = re.sub(r"\b(?:per|every|each|a) (?:year|annum)\b|p\.a\.", "annually", text)
    if re.search(_PRICES, text) and not re.search(_WEIGHTS, text):
        text = re.sub(r"\bpounds?\b", "gbp", text)
    tokens = Tokens(f" {text} ")
    _read_dates(tokens)
    _read_numerals(tokens)
    _read_quantities(tokens)
    # Words: with a meaning, or the name of a thing.
    formula = re.search(r"\([^a-z]*[-+*/^][^a-z]*\)", tokens.text)
    symbols = _SYMBOLS | dict(zip(";()", (",", "open", "close") if formula else ",,,", strict=True))
    words = [symbols.get(word, word) for word in _WORD.findall(tokens.text)]
    marked = [w if w in vocabulary() or not w.islower() else f"_{w}" for w in words]
    # What is counted does not matter to a sum: "3 apples plus 4 pears".
    tokens.text = re.sub(
        r"(N\d+ )(?:_\S+ ){1,2}(?=(?:plus|minus|times|slash|divided|multiplied|(?:and|,|to|of) N))",
        r"\1",
        "".join(f"{word} " for word in marked),
    )
    return tokens


def _read_dates(tokens: Tokens) -> None:
    """Dates, and times of day as the time since midnight."""
    today = date.today()
    years = [int(year) for year in re.findall(r"\b(?:19|20)\d\d\b", tokens.text)]

    def day(match: re.Match[str]) -> str:
        parts = match.groupdict()
        if word := parts.get("word"):
            return tokens.add(
                today + timedelta(("today", "tomorrow").index(word) if word[0] == "t" else -1)
            )
        month, number = parts["m"], int(parts["d"])
        index = int(month) if month.isdigit() else [m[:3] for m in _MONTHS].index(month[:3]) + 1
        if parts.get("slash") == "/":
            if number <= 12 and index <= 12 and number != index:
                raise BadInput(f"The date {match.group()} is ambiguous.", hint="Use 2025-03-31.")
            number, index = (index, number) if index > 12 else (number, index)
        try:
            year = int(parts["y"] or (years[0] if years else today.year))
            return tokens.add(date(year, index, number))
        except ValueError:
            raise BadInput(f"The date {match.group().strip()!r} does not exist.") from None

    for pattern in _DATES:
        tokens.replace(rf"{_WEEKDAY}(?:{pattern})(?!\w)", day)

    def clock(match: re.Match[str]) -> str | None:
        hour, minute, half, full_hour, full_half, word = match.groups()
        hours = 12 if word == "noon" else 0 if word else int(hour or full_hour)
        if (letter := (half or full_half or "o")[0]) in "ap":
            hours = hours % 12 + (12 if letter == "p" else 0)
        return tokens.add(timedelta(hours=hours, minutes=int(minute or 0))) if hours <= 24 else None

    tokens.replace(_TIME, clock)


def number_of(text: str) -> Fraction:
    """A number in English or German form, or a fraction.

    >>> number_of("1,234.50"), number_of("1.234,5"), number_of("12,5"), number_of("a")
    (Fraction(2469, 2), Fraction(2469, 2), Fraction(25, 2), Fraction(1, 1))
    """
    text = re.sub(r"[⟦⟧'\u00a0\u202f ]", "", text)
    if text in ("a", "an", ""):
        return Fraction(1)
    if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    elif "," in text or text.count(".") > 1:
        text = text.replace(".", "").replace(",", ".")
    return Fraction(text)


def _part(top: str | None, word: str) -> Fraction:
    """The value of "two thirds"."""
    return number_of(top or "") / FRACTIONS[word.removesuffix("s")]


def _literal(number: Fraction) -> str:
    return str(number) if number.denominator == 1 else f"⟦{number}⟧"


def _read_numerals(tokens: Tokens) -> None:
    """Numbers in words as digits, and fractions."""
    from text_to_num import alpha2digit

    def scaled(match: re.Match[str]) -> str:
        return _literal(number_of(match[1]) * SCALES[match[2]])

    def numeral(match: re.Match[str]) -> str:
        return str(alpha2digit(re.sub(r"^an? ", "one ", match.group()), "en", threshold=0))

    def share(value: Fraction) -> str:
        return tokens.add(quantity(value), str(value), "F")

    scale = rf"({_NUMBER}) ?{alternatives(SCALES)}"
    tokens.replace(r"half an? (dozen|hundred|thousand|million)", lambda m: str(SCALES[m[1]] // 2))
    tokens.replace(r"(?<!s )(?<!€)an? dozen", lambda _: "12")  # not: 3 euros a dozen
    tokens.replace(scale, scaled)
    tokens.replace(r"(?<!each )(?<!which )(?<!this )(?<!that )" + _NUMERALS, numeral)
    tokens.replace(scale, scaled)
    # Two and a half; 2 1/2; an hour and a half; three quarters of an hour; two thirds; half.
    tokens.replace(
        rf"(\d+) (?:and )?(an?|\d+)[ -]{_PART}",
        lambda m: _literal(int(m[1]) + _part(m[2], m[3])),
    )
    tokens.replace(
        r"(\d+) (?:and )?(\d+/\d+)(?![\d/])", lambda m: _literal(int(m[1]) + Fraction(m[2]))
    )
    tokens.replace(
        rf"(an?|{_NUMBER}) {_UNIT} and a half\b",
        lambda m: f"{_literal(number_of(m[1]) + Fraction(1, 2))} {m[2]}",
    )
    tokens.replace(
        rf"(?:(an?|\d+) )?{_PART} (?:of )?an? {_UNIT}",
        lambda m: f"{_literal(_part(m[1], m[2]))} {m[3]}",
    )
    tokens.replace(rf"(an?|\d+)[ -]{_PART}", lambda m: share(_part(m[1], m[2])))
    tokens.replace(r"half\b", lambda _: share(Fraction(1, 2)))
    tokens.replace(r"(\d{1,2}/\d{1,3})(?= of\b)", lambda m: share(Fraction(m[1])))
    # Lists without spaces: 3,9,4.
    tokens.replace(
        r"\d+(?:,\d+){2,}(?![\d.,]\d)",
        lambda m: None if re.fullmatch(r"\d{1,3}(,\d{3})+", m[0]) else m[0].replace(",", ", "),
    )


def _read_quantities(tokens: Tokens) -> None:
    """Plain expressions, money, percentages, quantities, plain numbers, and units alone."""
    add = tokens.add
    codes = [MONEY[name] for name in re.findall(rf"(?<![a-z]){_CURRENCY}", tokens.text)]
    currency = next((code for code in codes if code != "CENT"), "")

    def money(number: str, name: str) -> str:
        if MONEY[name] == "CENT" and currency:
            return add(quantity(number_of(number) / 100, currency))
        return add(quantity(number_of(number), MONEY[name]))

    def expression(match: re.Match[str]) -> str | None:
        source = match.group().strip()
        span = re.fullmatch(r"(\d+)-(\d+)", source)  # "2-3 days" is not a difference
        if source.count("(") != source.count(")") or (span and int(span[1]) < int(span[2])):
            return None
        plain = re.sub(
            _NUMBER, lambda m: f" {float(number_of(m[0]))!r} " if "," in m[0] else m[0], source
        )
        tokens.computed = True
        return add(evaluate(plain.replace("^", "**"), {}), source)

    def bare(match: re.Match[str]) -> str | None:
        before = tokens.text[: match.start()]
        is_unit = len(match[1]) > 1 or re.search(r"(?:per|in|to|into|many|/) ?$", before)
        return add(quantity(1, UNITS[match[1]]), match[1], "U") if is_unit else None

    ending = rf"(?! ?(?:percent\b|{_UNIT}|{_CURRENCY}|\(|\d|of\b))"
    tokens.replace(rf"[-(]*{_NUMBER}(?: ?[-+*/^] ?[-(]*{_NUMBER}\)*)+{ending}", expression)
    for names in (_CURRENCY, _UNIT):  # from 40 to 50 euros
        tokens.replace(
            rf"((?:from|between) {_LITERAL}) ((?:to|and) {_LITERAL} ?{names})",
            lambda m: f"{m[1]} {m[3]} {m[2]}",
        )
    tokens.replace(rf"\({_UNIT}\)", lambda _: "")  # pounds (lb)
    tokens.replace(rf"{_CURRENCY} ?({_LITERAL})", lambda m: money(m[2], m[1]))
    tokens.replace(rf"(-?{_LITERAL})[ -]?{_CURRENCY}", lambda m: money(m[1], m[2]))
    tokens.replace(
        rf"(-?{_LITERAL})[ -]?percent(?:age)?(?: points?)?\b",
        lambda m: add(quantity(number_of(m[1]), "percent")),
    )
    tokens.replace(
        rf"(-?{_LITERAL})[ -]?{_UNIT}", lambda m: add(quantity(number_of(m[1]), UNITS[m[2]]))
    )
    tokens.replace(r"\d+(?::\d+)+", lambda m: m[0].replace(":", " to "))
    tokens.replace(rf"(?:(?<=[a-z] )-)?{_LITERAL}", lambda m: add(quantity(number_of(m[0]))))
    tokens.replace(
        rf"(?<!which )(?<!what )(?<!ing )(?<!ness )(?<!the ){_UNIT}(?! of the week)", bare
    )
    tokens.replace(_CURRENCY, lambda m: add(quantity(1, MONEY[m[1]]), m[1], "U"))
