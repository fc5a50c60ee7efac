"""Follow-up questions: completed with the question that they refer back to, without a model.

    searches("And on Windows?", [Exchange("How do I enable the cache?")])
    # ["How do I enable the cache? And on Windows?"]

Retrieval with both questions joined is almost as good as with a rewritten one, and costs nothing.
The patterns are for English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag_chatbot.read.language import language_of, terms

MAX_EXCHANGES = 6  # earlier exchanges that a follow-up may refer to
SHORT = 2  # a question of so few terms may need the topic of the one before
_OPENS = re.compile(
    r"^(?:and|but|or|so|also|then|what about|how about|what if|why not|really|in that case)\b",
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(
    r"\b(?:it|its|s?h(?:e|im|is|ers?)|they|them|their|theirs|this|that|these|those|one|ones|same|there|former|latter"
    r"|instead|else|above|previous|other|another|doing so|that way|too|as well|again|afterwards)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Exchange:
    """An earlier question of a conversation, and the text of its answer."""

    question: str
    answer: str = ""


def searches(question: str, history: Sequence[Exchange]) -> list[str]:
    """The queries to search for; the second one only if the first yields no answer.

    A question that refers back is joined to the last one that stands alone; a short one may be a
    follow-up that does not say so, such as "Et à Lyon ?".
    """
    topics = (exchange.question for exchange in reversed(history[-MAX_EXCHANGES:]))
    topic = next((topic for topic in topics if not refers_back(topic)), "")
    joined = f"{topic} {question}".strip()
    if refers_back(question):
        return [joined]
    is_short = len(set(terms(question, language_of(question)))) <= SHORT
    return [question, joined] if topic and is_short else [question]


def refers_back(question: str) -> bool:
    """Whether a question needs the ones before it.

    It opens with "and", has no terms of its own, or points back before it names a subject: in
    "Where does Kestrel keep its settings?" the question itself explains "its".
    """
    question = question.strip()
    back = _POINTS_BACK.search(question)
    return (
        bool(_OPENS.search(question))
        or not terms(question, language_of(question))
        or (back is not None and len(terms(question[: back.start()])) <= SHORT)
    )
