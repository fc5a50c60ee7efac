"""Finds the evidence for each sentence that a model wrote, and checks the sentence against it.

    Verifier(embeddings, passages).verify(claim).verdict    # supported, doubtful or refused

The quotes that the model names are tried first. They only point at the evidence, which is always
text of the document; without a usable quote it is searched for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rag_chatbot.answer.check import Verdict, check, normalized
from rag_chatbot.answer.claims import Claim
from rag_chatbot.answer.evidence import Span, locate, sentences
from rag_chatbot.read.language import context
from seedbed.models.embeddings.load_embeddings import Vectors, embed_texts

if TYPE_CHECKING:
    from rag_chatbot.store.records import Chunk

NEAR = 0.5  # cosine from which a sentence of a passage is evidence for one without a quote


@dataclass
class Checked:
    """A sentence with its evidence and the result of the check."""

    sentence: str
    spans: tuple[Span, ...]
    verdict: Verdict

    @property
    def evidence(self) -> str:
        return " … ".join(span.quote for span in self.spans)


class Verifier:
    """Verifies the sentences of one answer against its passages."""

    def __init__(self, embeddings: Any, passages: Sequence[Chunk]) -> None:
        self.embeddings = embeddings
        self.passages = passages
        self.spans = [span for chunk in passages for span in sentences(chunk)]
        self._by_text = {normalized(s.quote, s.chunk.type): s for s in reversed(self.spans)}

    def verify(self, claim: Claim) -> Checked:
        """The sentence with its best evidence: an equal sentence, the quotes, the nearest one."""
        if not claim.sentence:
            return self._compare("", [])
        named = [self.passages[n - 1] for n in claim.passages if 0 < n <= len(self.passages)]
        quotes = [_located(quote, [*named, *self.passages]) for quote in claim.quotes]
        equal = self._by_text.get(normalized(claim.sentence, "sentence"))
        if equal is not None:
            return self._compare(claim.sentence, [equal])
        cited = list(dict.fromkeys(span for located in quotes for span in located))
        result = self._compare(claim.sentence, cited)
        if result.verdict == "refused" and (nearest := self._nearest(claim.sentence)):
            result = self._compare(claim.sentence, [nearest])
        return result

    def _compare(self, sentence: str, spans: Sequence[Span]) -> Checked:
        if not spans:
            return Checked(sentence, (), "refused")
        above = {context(span.chunk.title, span.chunk.heading) for span in spans}
        above |= {span.context for span in spans}
        evidence = "\n".join(span.quote for span in spans)
        verdict = check(sentence, evidence, kind=spans[0].chunk.type, context="\n".join(above))
        return Checked(sentence, tuple(spans), verdict)

    def _nearest(self, sentence: str) -> Span | None:
        """The sentence of the passages whose meaning is nearest, if it is near."""
        if not self.spans:
            return None
        cosines = self._vectors @ embed_texts(self.embeddings, [sentence])[0]
        best = int(cosines.argmax())
        return self.spans[best] if cosines[best] >= NEAR else None

    @cached_property
    def _vectors(self) -> Vectors:
        """float32 (sentences, dimension)"""
        return embed_texts(self.embeddings, [span.quote for span in self.spans])


def _located(quote: str, chunks: Sequence[Chunk]) -> list[Span]:
    """The sentences of the first chunk that has a quote."""
    return next(filter(None, (locate(quote, chunk) for chunk in chunks)), [])
