"""Quotes the sentence or table row that contains every word of a question and a single value.

    best_quote("How long is the warranty on tents?", passages).answer      # "5 years"

Each template is a regular expression of a question beside the kind of value that it asks for; a
question that asks whether something is so is answered with the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from multi_agent.brain import Quote, Refusal
from multi_agent.data.passages import SEPARATOR, Passage
from multi_agent.offline.words import FILLERS, LeftOver, Words

_NUMBER = r"(?:\d+(?:[.,]\d+)*|one|two|three|four|five|six|seven|eight|nine|ten|twelve)"
VALUES = {
    "money": r"[€$£] ?\d+(?:[.,]\d+)*|\d+(?:[.,]\d+)* ?(?:euros?|dollars?|EUR|USD)\b",
    "duration": rf"\b{_NUMBER} (?:(?:working )?days?|weeks?|months?|years?|hours?|minutes?)\b",
    "percent": r"\d+(?:[.,]\d+)? ?(?:%|percent)",
}
"""Kinds of values."""
TEMPLATES = {
    r"how much (?:does|do|did|is|are|was) (?P<words>.+?)(?: cost)?": "money",
    r"what (?:does|do) (?P<words>.+) cost": "money",
    r"what (?:is|are) the (?:price|cost|fee|charge)s? (?:of|for) (?P<words>.+)": "money",
    r"(?:for )?how long (?:is|are|does|do|can|will) (?P<words>.+)": "duration",
    r"within how many (?:days|weeks|months|years) (?:can|may|must|do) (?P<words>.+)": "duration",
    r"(?:what|which) discount (?:do|does) (?P<words>.+) get": "percent",
    r"what (?:is|are) (?P<words>.+)": "",
    r"(?:can|may|must|do|does|is|are) (?P<words>.+)": "",
}
"""Questions, with the kind of value that they ask for; without one, the sentence is the answer."""
_IGNORED = FILLERS | {"can", "may", "must", "get", "to"}
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_CLAUSE = re.compile(r"[,;:]\s+")


def best_quote(question: str, passages: Sequence[Passage]) -> Quote:
    """The only answer that the passages have. Raises Refusal without one, or with several."""
    text = " ".join(question.split()).rstrip(" .?!")
    matches = ((re.fullmatch(p, text, re.IGNORECASE), kind) for p, kind in TEMPLATES.items())
    match, kind = next(((match, kind) for match, kind in matches if match), (None, ""))
    words = Words(match["words"]) if match else Words("")
    required = {stem: word for word, stem in zip(words.texts, words.stems, strict=True)
                if word not in _IGNORED}  # fmt: skip
    if not required:
        raise Refusal("Without a model, I can't tell what this question asks of the documents.")
    quotes = {q.answer: q for p in passages for q in _quotes(p, set(required), kind)}
    if len(quotes) == 1:
        return next(iter(quotes.values()))
    if quotes:
        raise Refusal(f"The documents have several answers: {', '.join(quotes)}.")
    everywhere = {stem for p in passages for stem in Words(f"{p.heading} {p.text}").stems}
    missing = [word for stem, word in required.items() if stem not in everywhere]
    if missing:
        raise LeftOver(missing[0])
    raise Refusal("No sentence of the documents has all words of this question.")


def _quotes(passage: Passage, stems: set[str], kind: str) -> Iterator[Quote]:
    """The answers of a passage: the only value of a span that has the words, with its headings."""
    heading = set(Words(passage.heading).stems)
    for text, span in _spans(passage):
        inside = stems & set(Words(span).stems)
        if not inside or not stems <= inside | (heading if kind else set()):
            continue
        if not kind:
            yield Quote(text, text)
            continue
        values = set(re.findall(VALUES[kind], _cell(text, passage, stems) or span))
        if len(values) == 1:
            yield Quote(values.pop(), text)
            return


def _spans(passage: Passage) -> Iterator[tuple[str, str]]:
    """A row; or each sentence with each of its clauses, and with itself as a whole."""
    if passage.text.startswith("|"):
        yield passage.text, passage.text
        return
    for sentence in _SENTENCE.split(" ".join(passage.text.split())):
        for span in dict.fromkeys([*_CLAUSE.split(sentence), sentence]):
            yield sentence, span


def _cell(text: str, passage: Passage, stems: set[str]) -> str:
    """The cell of a row in the only column whose header has a word of the question."""
    header = passage.heading.split(SEPARATOR)[-1]
    if not (text.startswith("|") and header.startswith("|")):
        return ""
    names, row = ([cell.strip() for cell in line.strip("|").split("|")] for line in (header, text))
    columns = [n for n, name in enumerate(names) if n and stems & set(Words(name).stems)]
    return row[columns[0]] if len(columns) == 1 and columns[0] < len(row) else ""
