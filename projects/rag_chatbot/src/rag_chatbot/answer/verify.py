"""Finds the evidence for each sentence that a model wrote, and checks the sentence against it.

    Verifier(embeddings, passages).verify(claim).verdict    # supported, doubtful or refused

The quotes that the model names are tried first. They only point at the evidence, which is always
text of the document; without a usable quote, it is the nearest sentence. Only a sentence that
equals its evidence is confirmed, white space, case and markup aside. No comparison of words
confirms more, because a condition at the end, a minus sign or a unit can change the meaning.

    supported   shown with its citation
    doubtful    decided by a judge, see `judge`, or shown with a mark
    refused     not shown: no evidence, or a number or a name in code that the evidence lacks
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from rag_chatbot.answer.claims import Claim
from rag_chatbot.answer.evidence import Span, locate, sentences
from rag_chatbot.read.language import context, plain
from seedbed.models.embeddings.load_embeddings import Vectors, embed_texts

if TYPE_CHECKING:
    from rag_chatbot.store.records import Chunk

NEAR = 0.5  # cosine from which a sentence of a passage is evidence for one without a quote
Verdict = Literal["supported", "doubtful", "refused"]

_LIST_MARK = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_TOKEN = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*|\d+(?:[.,:]\d+)*|[^\W\d]\w*(?:[._/@]\w+)*")
_NAME_IN_CODE = re.compile(r"_|^-|\w\w\.\w\w|\w@\w|[a-z][A-Z]|[^\W\d]\d")


@dataclass
class Checked:
    """A sentence with its evidence and the result of the check."""

    sentence: str
    spans: list[Span]
    verdict: Verdict


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
            return Checked("", [], "refused")
        if equal := self._by_text.get(normalized(claim.sentence, "sentence")):
            return Checked(claim.sentence, [equal], "supported")
        named = [self.passages[n - 1] for n in claim.passages if 0 < n <= len(self.passages)]
        located = (_locate(quote, [*named, *self.passages]) for quote in claim.quotes)
        result = check(claim.sentence, list(dict.fromkeys(chain.from_iterable(located))))
        if result.verdict == "refused":
            result = check(claim.sentence, self._nearest(claim.sentence))
        return result

    def _nearest(self, sentence: str) -> list[Span]:
        """The sentence of the passages whose meaning is nearest, if it is near."""
        if not self.spans:
            return []
        cosines = self._vectors @ embed_texts(self.embeddings, [sentence])[0]
        best = int(cosines.argmax())
        return [self.spans[best]] if cosines[best] >= NEAR else []

    @cached_property
    def _vectors(self) -> Vectors:
        """float32 (sentences, dimension)"""
        return embed_texts(self.embeddings, [span.quote for span in self.spans])


def _locate(quote: str, chunks: Sequence[Chunk]) -> list[Span]:
    """The sentences of the first chunk that has a quote."""
    return next(filter(None, (locate(quote, chunk) for chunk in chunks)), [])


def check(sentence: str, spans: list[Span]) -> Checked:
    """Compare a sentence with its evidence.

    Numbers and names of the text above the evidence, such as its headings, are allowed.
    """
    if not spans:
        return Checked(sentence, [], "refused")
    evidence = "\n".join(span.quote for span in spans)
    if normalized(sentence, "sentence") == normalized(evidence, spans[0].chunk.type):
        return Checked(sentence, spans, "supported")
    above = {context(span.chunk.title, span.chunk.heading) for span in spans}
    above |= {span.context for span in spans}
    missing = _exact_tokens(sentence) - _exact_tokens("\n".join([*above, evidence]))
    if not re.search(r"\d", evidence):  # its numbers may be spelled out
        missing = {token for token in missing if not token[0].isdigit()}
    return Checked(sentence, spans, "refused" if missing else "doubtful")


def normalized(text: str, kind: str) -> str:
    """A sentence in a normal form, for comparison.

    `kind` is the format of its document, or "sentence" for the sentence of a model, which is not a
    list item: a `-` at its beginning is a minus sign.

    >>> normalized("Logs are\\n**rotated**.", "sentence"), normalized("- 5 degrees", "html")
    ('logs are rotated', '5 degrees')
    """
    if kind != "sentence":
        text = _LIST_MARK.sub("", text, count=1)
    text = plain(text, "markdown" if kind == "sentence" else kind)
    return " ".join(text.casefold().split()).rstrip(".。")


def _exact_tokens(text: str) -> set[str]:
    """Numbers and names in code, which have no synonyms; 8,192 and 8192 are the same."""
    tokens = set()
    for token in _TOKEN.findall(re.sub(r"[`*]", "", text)):
        if token[0].isdigit():
            tokens.add(re.sub(r"[.,]", "", token))
        elif _NAME_IN_CODE.search(token):
            tokens.add(token.lower())
    return tokens
