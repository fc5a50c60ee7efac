"""Quote mode: an answer that consists of the best spans of the documents; no model writes.

    draft = yield from quote(question, hits, embeddings)

The spans are chosen greedily, by score, within a limit of words.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rag_chatbot.answer.evidence import Draft
from rag_chatbot.answer.quote.features import (
    FEATURES,
    Candidate,
    candidates,
    confidence,
    score,
    words_of,
)
from rag_chatbot.answer.quote.units import displayed, heading_of, words
from rag_chatbot.read.language import SEPARATOR

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit

# Set by hand on the shipped questions; in units of the score, a logit.
NEXT_TO = 0.5  # bonus beside a selected unit: an answer often needs two in a row
ANNOUNCED = 8.0  # bonus for what a selected sentence announces, which comes next: "Allowed are:"
SAME_DOCUMENT = 0.5  # bonus in the document of the best unit
FAR = 2.0  # units that score this much less than the best are never quoted
SURE = 0.0  # minimum score for quoting from a second document
GAP = 60  # characters allowed between two units of one quote
ALIKE = 0.9  # cosine above which two units are repeats
EDITIONS_ALIKE = 0.8  # … and two units of different documents are versions of one sentence;
TITLES_ALIKE = 0.6  # … where the documents' titles differ in numbers alone
_COVERAGE = FEATURES.index("unit_coverage")
_WORD = re.compile(r"\w")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?:-(\d\d)(?:-(\d\d))?)?(?!\d)")
_VERSION = re.compile(r"(?<![\d.])\d+(?:\.\d+)+(?![\d.])")


def quote(
    question: str,
    hits: Sequence[Hit],
    embeddings: Any,
    *,
    focus: str = "",
    strictness: float = 0.5,
) -> Generator[str, None, Draft]:
    """Yield the quotes that answer the question, and return the whole draft.

    `focus` is the last question of a condensed one: its words count for more.
    """
    # 1. Select the spans of the chunks that answer it best.
    scored = score(question, candidates(hits), embeddings, focus=focus)
    spans = choose(scored)

    # 2. Decide whether they support an answer.
    if not spans or confidence(scored) < strictness:
        return Draft("")

    # 3. Quote them.
    return (yield from compose(spans))


def compose(spans: Sequence[Candidate]) -> Generator[str, None, Draft]:
    """Yield each span with its number, in reading order; return the whole draft."""
    spans = reading_order(spans)
    text = ""
    for n, span in enumerate(spans, 1):
        quoted = displayed(span.hit.chunk.text, span.unit, span.hit.chunk.type)
        flows = span.unit.kind == "sentence" and "\n" not in quoted
        follows = n > 1 and flows and spans[n - 2].unit.kind == "sentence"
        before = "" if n == 1 else " " if follows else "\n"
        mark = f"\n[{n}]" if quoted.endswith("```") else f" [{n}]"
        piece = f"{before}{quoted}{mark}"
        text += piece
        yield piece
    return Draft(text, tuple(span.span for span in spans))


def reading_order(spans: Sequence[Candidate]) -> list[Candidate]:
    """The document of the best span first; within a document, from its beginning to its end."""
    places: dict[int, int] = {}
    for span in spans:
        places.setdefault(span.hit.chunk.document_id, len(places))
    return sorted(spans, key=lambda span: (places[span.hit.chunk.document_id], span.start))


def choose(
    scored: Sequence[Candidate], *, quotes: int = 3, units: int = 6, most_words: int = 84
) -> list[Candidate]:
    """The best quotes for an answer, best first: greedy, without repeats, within `most_words`.

    At most `units` units are taken, and they make at most `quotes` quotes, as units that follow
    each other are joined. Other versions of the best unit come right after it, the newest first.
    """
    if not scored:
        return []
    left = {(c.hit.chunk.id, c.place): c for c in scored if not _is_filler(c, scored[0])}
    values = {key: c.score for key, c in left.items()}
    floor = max(values.values(), default=0.0) - FAR
    selection: dict[tuple[int, int], Candidate] = {}
    while left and len(selection) < units:
        # 1. Take the best unit that is left.
        key = max(left, key=values.__getitem__)
        best = left.pop(key)
        if values[key] < floor:
            break

        # 2. Pass over it if it repeats another, or if the answer would become too long. A sentence
        #    that announces something is of use only with the beginning of that.
        if any(_repeats(best, other) for other in selection.values()):
            continue
        needed = [best]
        if best.text.endswith(":"):
            announced = left.get((key[0], key[1] + 1))
            if announced is None and selection:
                continue
            needed += [announced] if announced else []
        joined = _joined([*selection.values(), *needed])
        if selection and (len(joined) > quotes or sum(map(_length, joined)) > most_words):
            continue

        # 3. Raise the units of its document (for the first one), other versions of it, what it
        #    announces, and those beside it.
        chunk_id, place = key
        for other_key, other in left.items():
            if not selection and other.hit.chunk.document_id == best.hit.chunk.document_id:
                values[other_key] += SAME_DOCUMENT
            if not selection and is_other_edition(best, other):
                values[other_key] += ANNOUNCED
            announcement = other.unit.context
            if other_key[0] == chunk_id and announcement and best.quote.endswith(announcement):
                values[other_key] += ANNOUNCED
        selection[key] = best
        for beside in ((chunk_id, place - 1), (chunk_id, place + 1)):
            if beside in values:
                values[beside] += NEXT_TO
    return _newest_first(_joined([*selection.values(), *_headings(selection.values(), scored[0])]))


def is_other_edition(a: Candidate, b: Candidate) -> bool:
    """Whether two units are versions of one sentence in different documents."""
    if a.hit.chunk.document_id == b.hit.chunk.document_id:
        return False
    same_title = _title_words(a) == _title_words(b)
    return float(a.vector @ b.vector) > (TITLES_ALIKE if same_title else EDITIONS_ALIKE)


def _title_words(c: Candidate) -> list[str]:
    """The first words of the document's title, up to a number, or of its name."""
    chunk = c.hit.chunk
    return re.findall(r"[^\W\d_]+", re.split(r"\d", chunk.title or chunk.source)[0].lower())


def edition(c: Candidate) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The latest date and the highest version that title, headings and file name of a unit tell."""
    chunk = c.hit.chunk
    text = f"{chunk.title} {chunk.heading} {chunk.source}".replace("_", " ")
    dates = [tuple(int(part or 0) for part in match.groups()) for match in _YEAR.finditer(text)]
    versions = [tuple(map(int, v.split("."))) for v in _VERSION.findall(text)]
    return max(dates, default=()), max(versions, default=())


def _newest_first(spans: list[Candidate]) -> list[Candidate]:
    """The spans with the newest of the best one's versions in front."""
    rivals = [c for c in spans if c is spans[0] or is_other_edition(spans[0], c)]
    if len(rivals) < 2:
        return spans
    rivals.sort(key=edition, reverse=True)
    return [*rivals, *(c for c in spans if c not in rivals)]


def _headings(selection: Iterable[Candidate], best: Candidate) -> list[Candidate]:
    """The headings above the best unit and its versions, where their chunks begin with them.

    Only those with a number: a date or a version in a heading belongs to all that is below.
    """
    headings: dict[int, Candidate] = {}
    for c in selection:
        if c.hit.chunk.id != best.hit.chunk.id and not is_other_edition(c, best):
            continue
        chunk = c.hit.chunk
        names = (chunk.title, chunk.heading.rsplit(SEPARATOR, 1)[-1])
        heading = heading_of(chunk.text, chunk.type, names)
        if heading and _NUMBER.search(chunk.text, heading.start, heading.end):
            between = chunk.text[heading.end : c.unit.start]
            place = -1 if _WORD.search(between) else c.place - 1
            above = replace(c, unit=heading, text=words_of(c.hit, heading), place=place)
            headings.setdefault(chunk.id, above)
    return list(headings.values())


def _repeats(c: Candidate, other: Candidate) -> bool:
    """Whether a unit repeats another; with other numbers it is another fact."""
    same_numbers = set(_NUMBER.findall(c.text)) == set(_NUMBER.findall(other.text))
    return float(c.vector @ other.vector) > ALIKE and same_numbers


def _is_filler(c: Candidate, best: Candidate) -> bool:
    """Whether a unit cannot answer, whatever is around it."""
    if c.score < SURE and c.hit.chunk.document_id != best.hit.chunk.document_id:
        return not is_other_edition(c, best)
    return bool(best.features[_COVERAGE] and not c.features[_COVERAGE] and not c.unit.context)


def _length(c: Candidate) -> int:
    """Words of a quote as it is displayed; the fences of code count as two."""
    if c.unit.kind == "code" or "```" in c.quote:
        return words(c.quote) + 2
    return words(c.text)


def _joined(selection: Sequence[Candidate]) -> list[Candidate]:
    """Units that follow each other in a chunk as one quote each; best first."""
    runs: list[list[Candidate]] = []
    for c in sorted(selection, key=lambda c: (c.hit.chunk.id, c.place)):
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and (last.hit.chunk.id, last.place + 1) == (c.hit.chunk.id, c.place)
            and c.start - last.end <= GAP
        ):
            runs[-1].append(c)
        else:
            runs.append([c])
    return sorted((_as_one(run) for run in runs), key=lambda c: -c.score)


def _as_one(run: Sequence[Candidate]) -> Candidate:
    """One candidate that spans a run of them, with the score of the best."""
    if len(run) == 1:
        return run[0]
    first, last = run[0], run[-1]
    kinds = {c.unit.kind for c in run}
    kind = first.unit.kind if len(kinds) == 1 and not kinds & {"code"} else "item"
    unit = replace(first.unit, end=last.unit.end, kind=kind)
    text = words_of(first.hit, unit)
    return replace(max(run, key=lambda c: c.score), unit=unit, text=text, place=first.place)
