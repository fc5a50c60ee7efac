"""Text with its numbers, dates and units replaced by typed tokens.

    tokens = tokenize("What is 15% of two thousand?")
    tokens.text                        # 'what is P0 of N1 '
    tokens.names["N1"].value           # 2000
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from multi_agent.tools.arithmetic.phrases import MONEY, UNITS, alternatives, vocabulary
from multi_agent.tools.arithmetic.values import evaluate, kind, quantity, text_of
from seedbed.errors import BadInput

_MONTHS = "january february march april may june july august september october november december"
_MONTH = "(" + "|".join(rf"{m}|{m[:4]}\b\.?|{m[:3]}\b\.?" for m in _MONTHS.split()) + ")"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,? (?:the )?)?"
_DATES = (
    rf"{_WEEKDAY}(?P<y>\d{{4}})-(?P<m>\d\d)-(?P<d>\d\d)",
    rf"{_WEEKDAY}(?P<d>\d{{1,2}})\.(?P<m>\d{{1,2}})\.(?P<y>\d{{4}})",
    rf"(?P<d>\d{{1,2}})/(?P<m>\d{{1,2}})/(?P<y>\d{{4}})",
    rf"{_WEEKDAY}{_DAY.replace('(', '(?P<d>', 1)}(?: of)? {_MONTH.replace('(', '(?P<m>', 1)}"
    r"(?:,? (?P<y>\d{4}))?",
    rf"{_WEEKDAY}{_MONTH.replace('(', '(?P<m>', 1)} (?:the )?{_DAY.replace('(', '(?P<d>', 1)}"
    r"(?:,? (?P<y>\d{4}))?",
    r"(?P<word>today|tomorrow|yesterday)",
)
_TIME = (
    r"(\d{1,2})(?::([0-5]\d))(?: ?(am|pm|a\.m\.?|p\.m\.?|o'clock))?(?![\d:])"
    r"|(\d{1,2}) ?(am|pm|a\.m\.?|p\.m\.?|o'clock)|(noon|midnight)"
)
_NUMBER = (
    r"(?:\d{1,3}(?:[,'\u00a0\u202f ]\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d+"
    r"|\d{1,3}(?:\.\d{3}){2,}|\d+\.\d+|\d+,\d{1,2}|\d+|\.\d+)(?![\d]|[.,]\d)"
)
_LITERAL = rf"(?:{_NUMBER}|⟦\d+/\d+⟧)"
_ONES = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety zero"
    " hundred thousand million billion trillion"
)
_NUMERAL = f"(?:{_ONES.replace(' ', '|')})"
_NUMERALS = rf"\b(?:an? (?=[hmbt][a-z]+n?d?\b))?{_NUMERAL}(?:(?: and | point |[ -]){_NUMERAL})*\b"
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "dozen": 12}
_SCALES |= {f"{name}s": size for name, size in _SCALES.items()}
_SCALES |= {"trillion": 10**12, "k": 1000, "bn": 10**9, "mn": 10**6, "mio": 10**6}
_PARTS = "half third quarter fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_FRACTIONS = {word: n for n, word in enumerate(_PARTS, start=2)}
_FRACTIONS |= {"halve": 2, "fourth": 4, "twentieth": 20, "hundredth": 100, "thousandth": 1000}
_PART = "(" + "|".join(_FRACTIONS) + r")s?\b"
_UNIT = alternatives(UNITS)
_CURRENCY = alternatives(MONEY)
_REPLACEMENTS = (
    ("[−–]", "-"), ("—", " , "), ("×|·|✕|⋅", "*"), ("÷", "/"), ("’", "'"), ("≈|approximately ", ""),
    (r"(?<=[\d)])²", "^2"), (r"(?<=[\d)])³", "^3"), ("½", " 1/2"), ("¼", " 1/4"), ("¾", " 3/4"),
    ("⅓", " 1/3"), ("⅔", " 2/3"), ("√ ?", " square root of "), (r"\*\*", "^"),
    (r"per cent\b|percents\b|%|pct\b", " percent "), (r"'s\b|'re\b", " is"), (r"'(?=\s|$)|\"", ""),
    (r"(?<=\d) ?x (?=\d)", " * "), (r"(?<=[a-z])/(?=[a-z]+\b)", "/"), (r"\s+", " "),
)  # fmt: skip


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
    for pattern, replacement in _REPLACEMENTS:
        text = re.sub(pattern, replacement, text)
    if re.search(r"interest|compound|grow|shrink|depreciate|p\.a\.|loses|increases|rises", text):
        text = re.sub(r"\b(?:per|every|each|a) (?:year|annum)\b|p\.a\.", "annually", text)
    tokens = Tokens(f" {text} ")
    _read_dates(tokens)
    _read_numerals(tokens)
    _read_quantities(tokens)
    # Words: with a meaning, or the name of a thing.
    known, words = vocabulary(), []
    symbols = {"+": "plus", "-": "minus", "*": "times", "/": "slash", "^": "power", "=": "equals"}
    formula = re.search(r"\([^a-z]*[-+*/^][^a-z]*\)", tokens.text)
    symbols |= {"(": "open", ")": "close"} if formula else {"(": ",", ")": ","}
    for word in re.findall(
        r"[A-Z]\d+|[^\W\d_](?:[^\W\d_]|['-](?=\w))*|[-,.+*/^=;()]|\d\S*", tokens.text
    ):
        word = symbols.get(word, "," if word == ";" else word)
        words.append(word if word in known or not word.islower() else f"_{word}")
    # What is counted does not matter to a sum: "3 apples plus 4 pears".
    tokens.text = re.sub(
        r"(?<=N)(\d+ )(?:_\S+ ){1,2}(?=(?:plus|minus|times|slash|divided|multiplied|increased|decreased|(?:and|,|to|of) N)\b)",
        r"\1",
        "".join(f"{word} " for word in words),
    )
    return tokens


def _read_dates(tokens: Tokens) -> None:
    today = date.today()
    years = [int(year) for year in re.findall(r"\b(?:19|20)\d\d\b", tokens.text)]

    def read(match: re.Match[str]) -> str:
        parts = match.groupdict()
        if parts.get("word"):
            days = {"yesterday": -1, "today": 0, "tomorrow": 1}[parts["word"]]
            return tokens.add(today + timedelta(days))
        month, day = parts["m"], int(parts["d"])
        if "/" in match.group():  # day first or month first
            first, second = day, int(month)
            if first <= 12 and second <= 12 and first != second:
                raise BadInput(f"The date {match.group()} is ambiguous.", hint="Use 2025-03-31.")
            day, month = (second, first) if second > 12 else (first, second)
        else:
            names = [name[:3] for name in _MONTHS.split()]
            month = int(month) if month.isdigit() else names.index(month[:3]) + 1
        year = int(parts["y"] or (years[0] if years else today.year))
        try:
            return tokens.add(date(year, month, day))
        except ValueError:
            raise BadInput(f"The date {match.group().strip()!r} does not exist.") from None

    for pattern in _DATES:
        tokens.replace(rf"(?:{pattern})(?!\w)", read)

    def clock(match: re.Match[str]) -> str | None:
        hour, minute, half, hour_only, half_only, word = match.groups()
        hours = 12 if word == "noon" else 0 if word else int(hour or hour_only)
        if (half := (half or half_only or "")[:1]) in ("a", "p"):
            hours = hours % 12 + (12 if half == "p" else 0)
        return tokens.add(timedelta(hours=hours, minutes=int(minute or 0))) if hours <= 24 else None

    tokens.replace(_TIME, clock)


def _plain(number: Fraction) -> str:
    return str(number) if number.denominator == 1 else f"⟦{number}⟧"


def _number(text: str) -> Fraction:
    """A literal in English or German form.

    >>> _number("1,234.50"), _number("1.234,5"), _number("12,5")
    (Fraction(2469, 2), Fraction(2469, 2), Fraction(25, 2))
    """
    text = re.sub(r"[⟦⟧'\u00a0\u202f ]", "", text)
    if "/" in text:
        return Fraction(text)
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", text):
        return Fraction(text.replace(",", ""))
    if "," in text or re.fullmatch(r"\d{1,3}(\.\d{3}){2,}", text):
        return Fraction(text.replace(".", "").replace(",", "."))
    return Fraction(text)


def _read_numerals(tokens: Tokens) -> None:
    """Numbers in words as digits, and fractions."""
    from text_to_num import alpha2digit

    def numeral(match: re.Match[str]) -> str:
        text = re.sub(r"^an? ", "one ", match.group())
        return alpha2digit(text, "en", threshold=0)

    tokens.replace(r"half an? (dozen|hundred|thousand|million)", lambda m: str(_SCALES[m[1]] // 2))
    tokens.replace(r"an? dozen", lambda _: "12")
    tokens.replace(r"(?:each|which|this|that|the) one\b", lambda m: m.group())
    scale = rf"({_NUMBER}) ?{alternatives(_SCALES)}"
    tokens.replace(scale, lambda m: _plain(_number(m[1]) * _SCALES[m[2]]))
    tokens.replace(_NUMERALS, numeral)
    tokens.replace(scale, lambda m: _plain(_number(m[1]) * _SCALES[m[2]]))
    # Two and a half; 2 1/2; three quarters of an hour; an hour and a half; two thirds.
    tokens.text = re.sub(r"\s+", " ", tokens.text)
    part = r"(?:(?:and )?(an?|\d+)[ -]" + _PART + r"|(?:and )?(\d+)/(\d+)(?![\d/]))"

    def mixed(match: re.Match[str]) -> str:
        whole, top, word, upper, lower = match.groups()
        top, bottom = (upper, int(lower)) if upper else (top, _FRACTIONS[word])
        return _plain(int(whole) + Fraction(1 if top in ("a", "an") else int(top), bottom))

    tokens.replace(rf"(\d+) {part}", mixed)
    tokens.replace(
        rf"(an?|{_NUMBER}) {_UNIT} and a half\b",
        lambda m: f"{_plain((Fraction(1) if m[1] in ('a', 'an') else _number(m[1])) + Fraction(1, 2))} {m[2]}",
    )
    tokens.replace(rf"half (?:of )?an? {_UNIT}", lambda m: f"⟦1/2⟧ {m[1]}")
    tokens.replace(
        rf"(an?|\d+) {_PART} (?:of )?an? {_UNIT}",
        lambda m: f"{_plain(Fraction(int(m[1]) if m[1].isdigit() else 1, _FRACTIONS[m[2]]))} {m[3]}",
    )

    def fraction(match: re.Match[str]) -> str:
        top = int(match[1]) if (match[1] or "").isdigit() else 1
        value = Fraction(top, _FRACTIONS[match[2]])
        return tokens.add(quantity(value), str(value), "F")

    tokens.replace(rf"(?:(an?|\d+)[ -]){_PART}(?! of the way)", fraction)
    tokens.replace(r"()(half)\b(?! (?:past|off price))", fraction)
    tokens.replace(r"(\d{1,2})/(\d{1,3})(?= of\b)", lambda m: tokens.add(quantity(Fraction(int(m[1]), int(m[2]))), m.group(), "F"))
    # Lists without spaces: 3,9,4.
    tokens.text = re.sub(
        r"(?<![\d,.])\d+(?:,\d+){2,}(?![\d.,]\d)",
        lambda m: m.group() if re.fullmatch(r"\d{1,3}(,\d{3})+", m.group()) else m.group().replace(",", ", "),
        tokens.text,
    )


def _read_quantities(tokens: Tokens) -> None:
    """Plain expressions, money, percentages, quantities, plain numbers, and units alone."""
    add = tokens.add
    symbol = next((MONEY[n] for n in MONEY if MONEY[n] != "CENT" and re.search(rf"(?<!\w){re.escape(n)}(?!\w)" if n.isalpha() else re.escape(n), tokens.text)), "")

    def money(number: str, name: str) -> str:
        code = MONEY[name]
        if code == "CENT" and symbol:
            return add(quantity(_number(number) / 100, symbol))
        return add(quantity(_number(number), code))

    def expression(match: re.Match[str]) -> str | None:
        source = match.group().strip()
        tight = re.fullmatch(r"(\d+)-(\d+)", source)
        if not re.search(r"\d ?[-+*/^]|\(", source) or (tight and int(tight[1]) < int(tight[2])):
            return None
        plain = re.sub(_NUMBER, lambda m: f"({_number(m.group())})", source).replace("^", "**")
        tokens.computed = True
        return add(evaluate(re.sub(r"\((\d+)\)", r"\1", plain), {}), source)

    tokens.text = re.sub(
        rf"((?:from|between) {_LITERAL}) ((?:to|and) {_LITERAL} ?{_CURRENCY})", r"\1 \3 \2", tokens.text
    )
    ending = rf"(?! ?(?:percent\b|{_UNIT}|{_CURRENCY}|\(|\d|of\b))"
    tokens.replace(rf"[-(]*{_NUMBER}(?: ?[-+*/^] ?[-(]*{_NUMBER}\)*)+{ending}", expression)
    tokens.replace(rf"{_CURRENCY} ?({_LITERAL})", lambda m: money(m[2], m[1]))
    tokens.replace(rf"({_LITERAL})[ -]?{_CURRENCY}", lambda m: money(m[1], m[2]))
    tokens.replace(
        rf"(-?{_LITERAL})[ -]?percent(?:age)?(?: points?)?\b",
        lambda m: add(quantity(-_number(m[1][1:]) if m[1][0] == "-" else _number(m[1]), "percent")),
    )
    tokens.replace(
        rf"(-?{_LITERAL})[ -]?{_UNIT}",
        lambda m: add(quantity(-_number(m[1][1:]) if m[1][0] == "-" else _number(m[1]), UNITS[m[2]])),
    )
    tokens.replace(rf"({_NUMBER}):({_NUMBER})", lambda m: f"{add(quantity(m[1]))} to {add(quantity(m[2]))}")
    tokens.replace(rf"{_LITERAL}", lambda m: add(quantity(_number(m.group()))))

    def bare(match: re.Match[str]) -> str | None:
        name = match[1]
        if len(name) < 2 and not re.search(r"(?:per|in|to|into|many|/) ?$", tokens.text[: match.start()]):
            return None
        return add(quantity(1, UNITS[name]), name, "U")

    tokens.replace(rf"(?<!which )(?<!what )(?<!working )(?<!business )(?<!of the )(?<!the ){_UNIT}(?! of the week)", bare)
    tokens.replace(_CURRENCY, lambda m: add(quantity(1, MONEY[m[1]]), m[1], "U"))
