"""Quote mode: an answer that consists of the best spans of the documents; no model writes.

draft = yield from Quoter(embeddings).quote(question, hits)
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from rag_chatbot.answer.evidence import Draft
from rag_chatbot.answer.quote.choose import choose
from rag_chatbot.answer.quote.features import Candidate, candidates, confidence, score
from rag_chatbot.answer.quote.units import displayed
from rag_chatbot.read.language import plain

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit

TERM_CHARS = 80  # a longer term is not repeated in front of a part of its definition


class Quoter:
    """Quotes from retrieved chunks. Stateless, and safe to use from threads."""

    def __init__(self, embeddings: Any) -> None:
        self.embeddings = embeddings

    def quote(
        self, question: str, hits: Sequence[Hit], *, focus: str = "", strictness: float = 0.5
    ) -> Generator[str, None, Draft]:
        """Yield the quotes that answer the question, and return the whole draft.

        `focus` is the last question of a condensed one: its words count for more.
        """
        # 1. Select the spans of the chunks that answer it best.
        scored = score(question, candidates(hits), self.embeddings, focus=focus)
        spans = choose(scored)

        # 2. Decide whether they support an answer.
        support = confidence(scored)
        if not spans or support < strictness:
            return Draft("", confidence=support)

        # 3. Quote them.
        return (yield from compose(spans, support))


def compose(spans: Sequence[Candidate], confidence: float = 0.0) -> Generator[str, None, Draft]:
    """Yield each span with its number, in reading order; return the whole draft."""
    spans = reading_order(spans)
    text = ""
    for n, span in enumerate(spans, 1):
        quoted = displayed(span.hit.chunk.text, span.unit, span.hit.chunk.type)
        term = plain(span.unit.term, span.hit.chunk.type)
        if 0 < len(term) <= TERM_CHARS and term not in quoted:
            quoted = f"{term}: {quoted}"
        flows = span.unit.kind == "sentence" and "\n" not in quoted
        follows = n > 1 and flows and spans[n - 2].unit.kind == "sentence"
        before = "" if n == 1 else " " if follows else "\n"
        mark = f"\n[{n}]" if quoted.endswith("```") else f" [{n}]"
        piece = f"{before}{quoted}{mark}"
        text += piece
        yield piece
    return Draft(text, tuple(span.span for span in spans), confidence=confidence)


def reading_order(spans: Sequence[Candidate]) -> list[Candidate]:
    """The document of the best span first; within a document, from its beginning to its end."""
    places: dict[int, int] = {}
    for span in spans:
        places.setdefault(span.hit.chunk.document_id, len(places))
    return sorted(spans, key=lambda span: (places[span.hit.chunk.document_id], span.start))
