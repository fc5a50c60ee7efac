"""Finds the evidence for a sentence that a model wrote, and checks the sentence against it.

    Verifier(embeddings).verify(claim, passages).verdict    # supported, doubtful or refused

The quotes that the model names are tried first. They only point at the evidence, which is always
text of the document; without a usable quote it is searched for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rag_chatbot.answer.check import Check, check
from rag_chatbot.answer.claims import Claim
from rag_chatbot.answer.evidence import Span, locate, sentences
from rag_chatbot.read.language import context, terms
from seedbed.models.embeddings.load_embeddings import embed_texts

if TYPE_CHECKING:
    from rag_chatbot.store.records import Chunk

NEAREST = 6  # sentences that share most words with one without a quote: compared by meaning
NEAR = 0.5  # cosine from which they are evidence
_ORDER = {"refused": 0, "doubtful": 1, "supported": 2}


@dataclass
class Checked:
    """A sentence with its evidence and the result of the check."""

    sentence: str
    spans: tuple[Span, ...]
    result: Check

    @property
    def verdict(self) -> str:
        return self.result.verdict

    @property
    def evidence(self) -> str:
        return " … ".join(span.quote for span in self.spans)

    def at_most_doubtful(self) -> Checked:
        """Words from several sentences may have been mixed up."""
        if self.verdict != "supported":
            return self
        return Checked(self.sentence, self.spans, Check("doubtful", "several sentences"))


_REFUSED = Checked("", (), Check("refused", "no evidence"))


def _rank(checked: Checked) -> int:
    return _ORDER[checked.verdict]


class Verifier:
    """Verifies sentences with one embedding model. Stateless, and safe to use from threads."""

    def __init__(self, embeddings: Any) -> None:
        self.embeddings = embeddings

    def verify(self, claim: Claim, passages: Sequence[Chunk], language: str = "en") -> Checked:
        """The sentence with its best evidence: the quotes that it names, or the nearest spans."""
        named = [passages[n - 1] for n in claim.passages if 0 < n <= len(passages)]
        quotes = [_located(quote, [*named, *passages]) for quote in claim.quotes]
        spans = list(dict.fromkeys(span for located in quotes for span in located))
        best = max(
            (self._compare(claim.sentence, [span], language) for span in spans),
            key=_rank,
            default=_REFUSED,
        )
        if best.verdict != "supported" and len(spans) > 1:
            joint = self._compare(claim.sentence, spans, language)
            best = max(best, joint.at_most_doubtful(), key=_rank)
        if best.verdict != "supported":
            nearest = self._nearest(claim.sentence, passages)
            others = (self._compare(claim.sentence, [span], language) for span in nearest)
            best = max(best, *others, key=_rank) if nearest else best
        return best

    def _compare(self, sentence: str, spans: Sequence[Span], language: str) -> Checked:
        evidence = " ".join(span.quote for span in spans)
        above = {context(span.chunk.title, span.chunk.heading) for span in spans}
        # The header of a table is its first line.
        above |= {span.chunk.text.partition("\n")[0] for span in spans if "|" in span.quote}
        result = check(
            sentence,
            evidence,
            context="\n".join(above),
            cosine=partial(self._cosine, sentence, evidence),
            language=language,
        )
        return Checked(sentence, tuple(spans), result)

    def _cosine(self, sentence: str, evidence: str) -> float:
        first, second = embed_texts(self.embeddings, [sentence, evidence])
        return float(first @ second)

    def _nearest(self, sentence: str, passages: Sequence[Chunk]) -> list[Span]:
        """The two sentences of the passages that are nearest to one without a quote."""
        words = set(terms(sentence))
        spans = [span for chunk in passages for span in sentences(chunk)]
        spans.sort(key=lambda span: -len(words & set(terms(span.quote))))
        spans = spans[:NEAREST]
        if not spans:
            return []
        vectors = embed_texts(self.embeddings, [sentence, *(span.quote for span in spans)])
        cosines = vectors[1:] @ vectors[0]
        best = sorted(range(len(spans)), key=lambda n: -cosines[n])[:2]
        return [spans[n] for n in best if cosines[n] >= NEAR]


def _located(quote: str, chunks: Sequence[Chunk]) -> list[Span]:
    """The sentences of the first chunk that has a quote."""
    return next(filter(None, (locate(quote, chunk) for chunk in chunks)), [])
