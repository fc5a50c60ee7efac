"""Cuts a task into the questions it consists of, by its grammar alone.

>>> clauses("How many orders came in May, and how long is the return window?")
['How many orders came in May', 'how long is the return window?']
>>> clauses("A train needs 2 hours for 150 km. How fast is it?")
['A train needs 2 hours for 150 km. How fast is it?']
"""

from __future__ import annotations

import re

_WH = r"(?:wh(?:at|ich|o|om|ose|en|ere|y)|how)\b"
_ORDER = (
    r"(?:list|name|show|give|tell|find|count|compute|calculate|convert|add|sum|subtract|multiply"
    r"|divide|compare|write|draft|summari[sz]e)\b"
)
_AUXILIARY = r"(?:do|does|did|is|are|was|were|can|could|may|should|will|would|has|have)\b"
_PREPOSITION = r"(?:(?:at|in|on|by|for|from|to|of|with|until|since|after|before|within|per)\s+)?"
# A verb inside a clause does not begin a question: "orders that were paid and are open".
_ASKING = re.compile(
    rf"(?:please |also |then )?(?:{_PREPOSITION}{_WH}|{_ORDER}|{_AUXILIARY}(?=.*\?$))",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z0-9\"'(])|\n+")
_JOIN = re.compile(r"\s*[,;]\s*(?:and|then|plus|also|but)?\s+|\s+(?:and|then)\s+", re.IGNORECASE)


def clauses(task: str) -> list[str]:
    """The questions and orders of a task, in their order; a statement stays with the next one."""
    if "```" in task:  # a program is not prose
        return [task.strip()]
    pieces: list[str] = []
    statement = ""
    for sentence in filter(None, map(str.strip, _SENTENCE.split(task.strip()))):
        text = f"{statement} {sentence}".strip()
        is_remark = pieces and len(sentence.split()) <= 6  # "Give me the last name."
        if "?" not in sentence and (not asks(sentence) or is_remark):
            statement = text
            continue
        pieces += [text] if statement else _joined_questions(sentence)
        statement = ""
    if statement:  # what follows the last question belongs to it
        pieces = [*pieces[:-1], f"{pieces[-1]} {statement}"] if pieces else [statement]
    return pieces


def asks(text: str) -> bool:
    """Whether a text begins as a question or an order."""
    return bool(_ASKING.match(text))


def _joined_questions(sentence: str) -> list[str]:
    """Questions that a conjunction joins; both have to ask, and to be more than a verb."""
    pieces, begin = [sentence], 0
    for match in _JOIN.finditer(sentence):
        left, right = sentence[begin : match.start()].strip(" ,;"), sentence[match.end() :].strip()
        if all(asks(part) and len(part.split()) > 2 for part in (left, right)):
            pieces[-1:], begin = [left, right], match.end()
    return pieces
