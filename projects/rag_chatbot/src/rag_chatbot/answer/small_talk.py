"""Greetings and questions about the chatbot itself, in the languages of `phrases.json`.

    talk = SmallTalk(embeddings)
    talk.refusal("Wo ist der Schlüssel?")       # "Das finde ich in diesen Dokumenten nicht."
    talk.reply("hello!", documents)             # a greeting with figures; "" for other questions

A question is one of these if it is nearly the same as an example. It is compared only after the
documents turned out not to answer it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any

from rag_chatbot.read.language import language_of
from seedbed.models.embeddings.load_embeddings import Vectors, embed_texts

if TYPE_CHECKING:
    from rag_chatbot.store.store import StoredDocument

NEAR = 0.7  # cosine from which a question is the same as an example
MAX_NAMES = 5  # documents named in a reply
PHRASES: dict[str, dict[str, Any]] = json.loads(
    resources.files("rag_chatbot.answer").joinpath("phrases.json").read_text("utf-8")
)


class SmallTalk:
    """Replies that need no passages; safe to use from threads."""

    def __init__(self, embeddings: Any) -> None:
        self.embeddings = embeddings

    def refusal(self, question: str) -> str:
        """The sentence that the documents don't contain the answer, in the question's language."""
        return str(PHRASES.get(language_of(question), PHRASES["en"])["refusal"])

    def reply(self, question: str, documents: Callable[[], Sequence[StoredDocument]]) -> str:
        """A reply with the figures of these documents, or "" if the question is about something."""
        names, vectors = self._examples
        query = embed_texts(self.embeddings, [_plain(question)])[0]
        nearest = int((vectors @ query).argmax())
        if float(vectors[nearest] @ query) < NEAR:
            return ""
        language, kind = names[nearest]
        stored = documents()
        return str(PHRASES[language][kind]["reply"]).format(
            documents=len(stored),
            passages=sum(document.chunks for document in stored),
            names=", ".join(document.title for document in stored[:MAX_NAMES]) or "–",
        )

    @cached_property
    def _examples(self) -> tuple[list[tuple[str, str]], Vectors]:
        """(language, kind) of each example, and their vectors."""
        examples = [
            (language, kind, _plain(text))
            for language, phrases in PHRASES.items()
            for kind, phrase in phrases.items()
            if kind != "refusal"
            for text in phrase["examples"]
        ]
        vectors = embed_texts(self.embeddings, [text for _, _, text in examples])
        return [(language, kind) for language, kind, _ in examples], vectors


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[\w'-]+", text.lower()))
