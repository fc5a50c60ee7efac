"""The choice of the spans that are quoted: greedy, by score, within a limit of words.

spans = choose(score(question, candidates(hits), embeddings))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rag_chatbot.answer.quote.features import FEATURE_WEIGHTS, Candidate, words_of
from rag_chatbot.answer.quote.units import words

# Set by hand on the same questions.
NEXT_TO = 0.6  # bonus beside a selected unit: an answer often needs two in a row
ANNOUNCED = 8.0  # bonus for what a selected sentence announces, which comes next: "Allowed are:"
SAME_DOCUMENT = 0.8  # bonus in the document of the best unit
FAR = 4.0  # a unit whose score is this far below the best is never quoted
FILLER = 0.5  # of the best cosine; a unit below it that shares no word is left out
GAP = 60  # characters allowed between two units of one quote
_UNIT_OVERLAP, _NAMED = (list(FEATURE_WEIGHTS).index(f) for f in ("unit_overlap", "named"))


def choose(
    scored: Sequence[Candidate],
    *,
    quotes: int = 3,
    units: int = 6,
    most_words: int = 84,
    alike: float = 0.9,
) -> list[Candidate]:
    """The best quotes for an answer, best first: greedy, without repeats, within `most_words`.

    At most `units` units are taken, and they make at most `quotes` quotes, as units that follow
    each other are joined. A unit repeats another from a cosine of `alike`.
    """
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
        if any(float(best.vector @ other.vector) > alike for other in selection.values()):
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

        # 3. Raise the units of its document (for the first one), what it announces, and those
        #    beside it.
        if not selection:
            for other_key, other in left.items():
                if other.hit.chunk.document_id == best.hit.chunk.document_id:
                    values[other_key] += SAME_DOCUMENT
        selection[key] = best
        chunk_id, place = key
        for other_key, other in left.items():
            announcement = other.unit.context
            if other_key[0] == chunk_id and announcement and best.quote.endswith(announcement):
                values[other_key] += ANNOUNCED
        for beside in ((chunk_id, place - 1), (chunk_id, place + 1)):
            if beside in values:
                values[beside] += NEXT_TO
    return _joined(list(selection.values()))


def _is_filler(c: Candidate, best: Candidate) -> bool:
    """Whether a unit has nothing to do with the question, but for its place beside the best one."""
    if c.features[_NAMED] or (c.unit.context and c.unit.kind != "row"):
        return False
    if c.unit.kind == best.unit.kind == "row" and best.features[_NAMED]:
        return True  # another row than the one that the question names
    return not c.features[_UNIT_OVERLAP] and c.features[0] < FILLER * best.features[0]


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
