"""Follow-up questions: turned into a question that stands alone, by rules and without a model.

    condense("And on Windows?", [Exchange("How do I enable the cache?")])
    # "How do I enable the cache? And on Windows?"

Retrieval with both questions joined is almost as good as with a rewritten one, and costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag_chatbot.read.language import terms

MAX_EXCHANGES = 6  # earlier exchanges that a follow-up may refer to
_OPENS = re.compile(
    r"^(?:and|but|or|so|also|then|what about|how about|what if|why not|really|in that case)\b",
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(
    r"\b(?:it|its|they|them|their|theirs|this|that|these|those|one|ones|same|there|former|latter"
    r"|instead|else|above|previous|other|another|doing so|that way|too|as well|again|afterwards)\b",
    re.IGNORECASE,
)
_DEFINES = re.compile(  # "What is an embedding?", but not "What is the default?"
    r"^(?:what|who) (?:is|are|was|were) (?!(?:the|my|your|not)\b)[\w -]+\?*$", re.IGNORECASE
)


@dataclass(frozen=True)
class Exchange:
    """An earlier question of a conversation, and the text of its answer."""

    question: str
    answer: str = ""


def condense(question: str, history: Sequence[Exchange]) -> str:
    """The question with the earlier ones that it depends on in front, or unchanged."""
    parts = [question]
    for exchange in reversed(history[-MAX_EXCHANGES:]):
        if not depends_on_history(parts[0]):
            break
        parts.insert(0, exchange.question)
    return " ".join(part.strip() for part in parts)


def depends_on_history(question: str) -> bool:
    """Whether a question seems to need the ones before it.

    It opens with "and", has few words of its own, or points back before it names a subject: in
    "Where does Kestrel keep its settings?" the question itself explains "its".
    """
    question = question.strip()
    back = _POINTS_BACK.search(question)
    return (
        bool(_OPENS.search(question))
        or (len(terms(question)) <= 3 and not (_DEFINES.search(question) and back is None))
        or (back is not None and len(terms(question[: back.start()])) <= 2)
    )
