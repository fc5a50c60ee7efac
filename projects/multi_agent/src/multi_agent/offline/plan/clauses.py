"""Cuts a task into the questions it consists of, by its grammar alone.

>>> clauses("How many orders came in May, and how long is the return window?")
['How many orders came in May', 'how long is the return window?']
>>> clauses("A train needs 2 hours for 150 km. How fast is it?")
['A train needs 2 hours for 150 km. How fast is it?']
"""

from __future__ import annotations

import re

_ASKS = (
    r"(?:please\s+|also\s+|then\s+|finally\s+|second(?:ly)?,?\s+)*"
    r"(?:what(?:'s)?|which|who|whom|whose|when|where|why|how|do|does|did|is|are|was|were|can|could|"
    r"may|should|will|would|has|have|list|name|show|give|tell|find|count|compute|calculate|convert|"
    r"work out|add|sum|subtract|multiply|divide|compare|check|look up|explain|summari[sz]e|write|"
    r"draft|run)\b"
)
_PREPOSED = (
    r"(?:at|in|on|by|for|from|to|of|with|under|until|since|after|before|within|during|per)\s+"
    r"(?:what|which|whom?|whose|how)\b"
)
_ASKING = re.compile(f"{_ASKS}|{_PREPOSED}", re.IGNORECASE)
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z0-9\"'(])|\n+")
_JOIN = re.compile(
    rf"(?:\s*[,;]\s*(?:and|then|plus|also|as well as|but)?\s+|\s+(?:and|then)\s+)"
    rf"(?={_ASKS}|{_PREPOSED})",
    re.IGNORECASE,
)
_AUXILIARIES = frozenset(
    "do does did is are was were can could may should will would has have".split()
)
_CODE = re.compile(r"```")


def clauses(task: str) -> list[str]:
    """The questions and orders of a task, in their order; a statement stays with the next one."""
    if _CODE.search(task):  # a program is not prose
        return [task.strip()]
    pieces: list[str] = []
    statement = ""
    for sentence in filter(None, map(str.strip, _SENTENCE.split(task.strip()))):
        text = f"{statement} {sentence}".strip()
        if "?" not in sentence and (not asks(sentence) or (pieces and _is_remark(sentence))):
            statement = text
            continue
        pieces += [text] if statement else _joined_questions(sentence)
        statement = ""
    if statement:  # what follows the last question belongs to it
        pieces = [*pieces[:-1], f"{pieces[-1]} {statement}"] if pieces else [statement]
    return pieces


def _is_remark(sentence: str) -> bool:
    """Whether an order belongs to the question before it: "Give me the last name."."""
    return len(sentence.split()) <= 6 and not re.search(r"\d", sentence)


def asks(text: str) -> bool:
    """Whether a text begins as a question or an order."""
    return bool(_ASKING.match(text))


def _joined_questions(sentence: str) -> list[str]:
    """Questions that a conjunction joins; a verb inside a clause does not begin a question."""
    pieces = [sentence]
    for match in _JOIN.finditer(sentence):
        right = sentence[match.end() :].strip()
        offset = len(sentence) - len(pieces[-1])
        left = sentence[offset : match.start()].strip(" ,;")
        # "orders that were paid and are open": both parts have to ask, and to be more than a verb.
        if asks(left) and len(left.split()) > 2 and len(right.split()) > 2 and _opens(right):
            pieces[-1:] = [left, right]
    return pieces


def _opens(text: str) -> bool:
    """Whether a clause is a question of its own: one that begins with "is" must end with "?"."""
    return text.split()[0].lower() not in _AUXILIARIES or text.rstrip().endswith("?")
