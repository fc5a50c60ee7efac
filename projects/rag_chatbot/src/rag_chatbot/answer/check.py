"""Whether a span of a document supports a written sentence, decided without a language model.

    check("Logs are kept for 15 days.", "Logs are kept for 14 days.").verdict    # "refused"

What must agree exactly is compared exactly: numbers, names in code, negation. Beyond that a
sentence is confirmed if all of its words are in the span, in an order that keeps who does what; or
if it has the same meaning in entirely new words. Between the two are the near misses, such as one
word replaced by another: they are doubtful, whether the word is a synonym or not. A judge may
decide them, see `judge`.

    supported   shown with its citation
    doubtful    shown with a mark, or decided by a judge
    refused     not shown

The thresholds were set on `tests/answer/claims.jsonl`. Rules about small words and order were added
after a set by another author had been read, so its second figure is not one of new data.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Literal, NamedTuple

from rag_chatbot.read.language import STOP_WORDS, stem

Verdict = Literal["supported", "doubtful", "refused"]

REWORDED = 0.65  # share of shared words below which a sentence counts as reworded, not as edited
NEW_WORDS = 3  # … and new words that it has at least
SAME_MEANING = 0.6  # cosine from which a reworded sentence has the meaning of the span
UNRELATED = 0.3  # cosine below which it has nothing to do with the span
GLUE = 3  # letters of a stop word up to which it may be added or left out: articles, prepositions

# A name in code, a number, a word, or a sign of a script without spaces.
_TOKEN = re.compile(
    r"(?<![\w-])--?[A-Za-z][\w-]*|\d+(?:[.,:]\d+)*|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
    r"|[^\W\d]\w*(?:[._/@]\w+)*"
)
_EXACT = re.compile(r"\d|_|^-|\w[./@]\w|[a-z][A-Z]")  # a token that has no synonyms
_THOUSANDS = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
# The only words with a rule: they turn a sentence into its opposite. One line per language.
_NEGATION = re.compile(
    r"no|not|never|none|nor|neither|nothing|nobody|cannot|without"
    r"|nicht|nie|niemals|kein\w{0,2}|nichts|ohne"
    r"|pas|jamais|aucune?|sans|rien"
    r"|nunca|ning[uú]n\w?|sin|nada"
    r"|non|mai|nessun\w?|senza"
    r"|niet|geen|nooit|zonder"
    r"|não|nenhuma?|sem"
    r"|[不没無无]"
)


@dataclass(frozen=True)
class Check:
    """A verdict, and why it is not "supported"."""

    verdict: Verdict
    reason: str = ""


class _Token(NamedTuple):
    text: str  # in lower case; a number in one form
    exact: bool  # must be in the evidence as it is
    name: bool  # capitalised within a sentence

    @property
    def counts(self) -> bool:
        if self.exact or self.name or self.text > "\u3000":
            return True
        return len(self.text) > GLUE or (len(self.text) == GLUE and self.text not in STOP_WORDS)


def check(
    sentence: str,
    evidence: str,
    *,
    context: str = "",
    cosine: Callable[[], float] = lambda: 0.0,
    language: str = "en",
) -> Check:
    """Compare a sentence with one span of a document.

    `context` is the text above the span, such as its headings: its words are allowed too. `cosine`
    compares the meanings and is called only if necessary. `language` is that of the sentence, for
    numbers in words.

    >>> check("Old logs are not deleted.", "Old logs are deleted.")
    Check(verdict='refused', reason='negation')
    >>> check("The limit is 3 files.", "The limit is three files a day.").verdict
    'supported'
    >>> check("Old logs are kept.", "Old logs are deleted.")
    Check(verdict='doubtful', reason='kept')
    """
    written, source = _tokens(sentence, language), _tokens(evidence, language)
    allowed = {token.text for token in _tokens(f"{context}\n{evidence}", language, 0)}

    # 1. Find each word of the sentence in the evidence.
    places, new = _align(written, source, allowed)

    # 2. What has no synonyms must be there.
    if missing := [token.text for token in new if token.exact]:
        return Check("refused", missing[0])

    # 3. Both must negate, or neither.
    shared = len(places) / max(1, len(places) + len(new))
    about = source[max(0, min(places) - 1) : max(places) + 2] if places else source
    if _negates(written) != _negates(about):  # other clauses of the evidence do not count
        return Check("doubtful" if new else "refused", "negation")

    # 4. Without another word, only the order, or a word left out, can change the meaning.
    if not new:
        changed = _leaves_out(source, places) or _is_reordered(source, places)
        changed = changed or _replaces(written, source)
        return Check("doubtful", "order") if changed else Check("supported")

    # 5. In other words: near the evidence a new word may be a wrong one.
    units = [after for before, after in pairwise(written) if before.exact and after in new]
    if strict := [token.text for token in new if token.name or token in units]:
        return Check("doubtful", strict[0])
    if shared >= REWORDED or len(new) < NEW_WORDS:
        return Check("doubtful", new[0].text)
    near = cosine()
    if near < UNRELATED and shared < 0.5:
        return Check("refused", "meaning")
    return Check("supported") if near >= SAME_MEANING else Check("doubtful", "meaning")


def _tokens(text: str, language: str, least_number: int = 2) -> list[_Token]:
    """The tokens of a text; numbers in words become digits, from `least_number` on."""
    from text_to_num import alpha2digit

    text = re.sub(r"n['’]t\b", " not", re.sub(r"[`*]", "", text))
    if language in ("en", "de", "fr", "es", "it", "nl", "pt"):
        text = alpha2digit(text, language, threshold=least_number)
    tokens = []
    for match in _TOKEN.finditer(text):
        word = match[0]
        first = not re.search(r"\w[^.!?:|\n]*$", text[: match.start()])
        tokens.append(
            _Token(
                _number(word) if word[0].isdigit() else word.lower(),
                bool(_EXACT.search(word)),
                word[0].isupper() and not first,
            )
        )
    return tokens


def _number(digits: str) -> str:
    """One form for 8,192 and 8192, for 1,5 and 1.50.

    >>> _number("8,192"), _number("1,50"), _number("9:00")
    ('8192', '1.5', '9:00')
    """
    if _THOUSANDS.fullmatch(digits):
        return re.sub(r"[.,]", "", digits)
    digits = digits.replace(",", ".")
    return digits.rstrip("0").rstrip(".") if digits.count(".") == 1 else digits


def _align(
    written: list[_Token], source: list[_Token], allowed: set[str]
) -> tuple[list[int], list[_Token]]:
    """The places in `source` of the words that count, in the order of the sentence; the new ones.

    Of several places the one nearest to the word before is taken, and each only once.
    """
    free = dict(enumerate(source))
    places: list[int] = []
    new: list[_Token] = []
    for token in written:
        expected = places[-1] + 1 if places else 0
        matches = [place for place, other in free.items() if _same(token, other)]
        if matches:
            place = min(matches, key=lambda place: abs(place - expected))
            del free[place]
            if token.counts:
                places.append(place)
        elif token.counts and token.text not in allowed:
            repeated = any(_same(token, other) for other in source)
            if not repeated:
                new.append(token)
    return places, new


def _same(token: _Token, other: _Token) -> bool:
    """Whether two words are forms of one: equal stems, or a common beginning."""
    a, b = token.text, other.text
    if a == b:
        return True
    if token.exact or other.exact:
        return False
    common = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    common = min(len(a), len(b)) if common is None else common
    return (common >= 4 and common >= 0.75 * min(len(a), len(b))) or stem(a) == stem(b)


def _negates(tokens: list[_Token]) -> bool:
    return sum(bool(_NEGATION.fullmatch(token.text)) for token in tokens) % 2 == 1


def _leaves_out(source: list[_Token], places: list[int]) -> bool:
    """Whether the sentence passes over a word in the middle of what it is made of."""
    if not places:
        return False
    skipped = set(range(min(places), max(places))) - set(places)
    return any(source[place].counts for place in skipped)


def _replaces(written: list[_Token], source: list[_Token]) -> bool:
    """Whether a word stands where the evidence has another one: "all" for "some", "may" for "must".

    Only small words are left to be compared here, as longer ones are new. Those of two letters may
    be replaced.
    """
    matcher = SequenceMatcher(
        None, [token.text for token in written], [token.text for token in source], autojunk=False
    )
    for kind, _, b, _, d in matcher.get_opcodes():
        if kind == "replace":
            token, other = written[b - 1], source[d - 1]  # the last ones, before words that agree
            if len(token.text) >= GLUE and not _same(token, other):
                return True
    return False


def _is_reordered(source: list[_Token], places: list[int]) -> bool:
    """Whether words changed places, other than a clause that was moved to the front."""
    breaks = [pair for pair in pairwise(places) if pair[1] < pair[0]]
    if len(breaks) != 1:
        return bool(breaks)
    if places[-1] < places[0]:  # the end of the evidence comes first
        return any(token.counts for token in source[: min(places)])
    return any(source[place].exact or source[place].name for place in breaks[0])
