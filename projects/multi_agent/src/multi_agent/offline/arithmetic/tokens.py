"""A task as words and terms: its numbers, amounts, shares and dates are found here.

tokens = tokenize("What is 15% of two thousand?", {"what", "is", "of", "."})
tokens.text                        # 'what is P0 of N1 . '
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import date, timedelta

from multi_agent.brain import Refusal
from multi_agent.offline.arithmetic.terms import DATE, PART, PERCENT, Term
from multi_agent.offline.arithmetic.words import (
    CURRENCIES,
    PLURALS,
    UNITS,
    alternatives,
    normalized,
)
from multi_agent.offline.english import MONTH, month_number

_CURRENCY, _UNIT = alternatives(CURRENCIES), alternatives(UNITS)
_DAY = r"(?P<d>\d{1,2})(?:st|nd|rd|th)?"
_DATES = (
    rf"\b{_DAY}(?: of)? (?P<m>{MONTH})(?!\w)(?:,? (?P<y>\d{{4}}))?",
    rf"\b(?P<m>{MONTH}) (?:the )?{_DAY}(?!\w)(?:,? (?P<y>\d{{4}}))?",
)
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?!\d|[.,]\d)"
_TOKEN = re.compile(
    rf"""
    (?P<date>\d{{4}}-\d\d-\d\d)(?!\w)
    | (?:(?P<top>\d+|an?)[ ])?(?P<part>half|quarters?)\b
    | (?P<part_of>\d+|an?)[ ](?P<bottom>\d+)(?:st|nd|rd|th)s?\b
    | (?:(?P<symbol>{_CURRENCY})[ ]?)?(?P<number>{_NUMBER})
      (?P<scale>k\b|[ ]1000(?:000)*\b)?
      (?:[ ]and[ ](?P<more>a|\d+)[ ](?P<rest>half|quarters?|\d+(?=rd|th))(?:rds?|ths?)?\b)?
      (?:[ ]?(?:(?P<percent>%|percent\b(?![ ]points?))|(?P<currency>{_CURRENCY})
              |(?P<unit>{_UNIT})))?
    | (?P<name>{_CURRENCY}|{_UNIT})
    | (?P<word>[^\W\d_](?:[^\W\d_]|'(?=\w))*|\d\S*|\S)
    """,
    re.VERBOSE,
)
_MARKS = {"+": "plus", "-": "minus", "*": "times", "/": "over", "^": "power", "=": "equals"}
_MARKS |= {"(": "open", ")": "close", "%": "percent", "&": "and"}
_MARKS |= dict.fromkeys("?!;", ".") | dict.fromkeys(":\"'", ",")
_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_PARTS = {"half": "2", "quarter": "4"}
_NOUNS = re.compile(rf"(N\d+) ((?:_\S+ )?_(?:\S*[^\Ws]s|{'|'.join(PLURALS)})) ")
"""A count with one or two nouns: 240 employees."""
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass
class Tokens:
    """Words, each followed by a space; names of terms are capitals: "N0", "M1", "U2"."""

    text: str = ""
    terms: dict[str, Term] = field(default_factory=dict)

    def add(self, term: Term, kind: str = "") -> str:
        """The name of a new term, with a space."""
        name = f"{kind or term.kind}{len(self.terms)}"
        self.terms[name] = term
        return f"{name} "

    def take_sign(self) -> bool:
        """Remove a minus at the end of the text if it is a sign: not between two terms."""
        match = re.search(r"(?:^|(\S+) )minus $", self.text)
        if not match or match[1] in {*self.terms, "close", "squared", "cubed"}:
            return False
        self.text = self.text.removesuffix("minus ")
        return True


def tokenize(task: str, vocabulary: Container[str]) -> Tokens:
    """Words that are not in the vocabulary are marked with "_". Raises Refusal for unclear dates.

    >>> tokenize("What is 15% of 240 employees?", {"what", "is", "of", "."}).text
    'what is P0 of G2 . '
    """
    from text_to_num import alpha2digit

    tokens = Tokens()
    text = _with_iso_dates(alpha2digit(normalized(task), "en", threshold=0))
    for match in _TOKEN.finditer(text):
        word = match["word"] or match["name"]
        if word in _DAYS:
            tokens.text += tokens.add(Term(f"'{date.today() + timedelta(_DAYS[word])}'", DATE))
        elif match["name"] and (len(word) > 1 or not word.isalpha()):
            tokens.text += tokens.add(Term("1", CURRENCIES.get(word, word)), "U")
        elif word:
            word = _MARKS.get(word, word)
            tokens.text += f"{word} " if word in vocabulary else f"_{word} "
        else:
            is_negative = match["number"] and tokens.take_sign()
            tokens.text += tokens.add(-_term(match) if is_negative else _term(match))

    def counted(match: re.Match[str]) -> str:
        number, noun = tokens.terms[match[1]].text, match[2].replace("_", "")
        is_count = not _YEAR.fullmatch(number)  # not the sales of 2024
        return tokens.add(Term(number, noun)) if is_count else match[0]

    tokens.text = _NOUNS.sub(counted, tokens.text)
    return tokens


def _term(match: re.Match[str]) -> Term:
    """A date, a share or an amount."""
    if match["date"]:
        return Term(f"'{match['date']}'", DATE)
    if match["part"] or match["bottom"]:
        top = (match["top"] or match["part_of"] or "a").replace("an", "a").replace("a", "1")
        bottom = match["bottom"] or _PARTS[match["part"].removesuffix("s")]
        return Term(f"({top} / {bottom})", PART)
    text = match["number"].replace(",", "")
    if scale := match["scale"]:
        text = f"({text} * {scale.strip().replace('k', '1000')})"
    if rest := match["rest"]:  # two and a half
        top = match["more"].replace("a", "1")
        text = f"({text} + {top} / {_PARTS.get(rest.removesuffix('s'), rest)})"
    if match["symbol"] and (match["percent"] or match["currency"] or match["unit"]):
        raise Refusal(f"Not understood: {match[0]!r}.")
    currency = match["symbol"] or match["currency"]
    unit = CURRENCIES[currency] if currency else match["unit"] or ""
    return Term(text, PERCENT if match["percent"] else unit)


def _with_iso_dates(text: str) -> str:
    """Dates as 2025-03-31; one without a year has that of the others. Raises Refusal.

    >>> _with_iso_dates("from 3 march to july 17th, 2024")
    'from 2024-03-03 to 2024-07-17'
    """
    years = set(re.findall(r"\b(?:19|20)\d\d\b", text))

    def iso(match: re.Match[str]) -> str:
        year = match["y"] or (min(years) if len(years) == 1 else "")
        if not year:
            raise Refusal(f"{match[0]!r} has no year.")
        try:
            return date(int(year), month_number(match["m"]), int(match["d"])).isoformat()
        except ValueError:
            raise Refusal(f"The date {match[0]!r} does not exist.") from None

    for pattern in _DATES:
        text = re.sub(pattern, iso, text)
    return text
