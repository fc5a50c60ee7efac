"""Finds what a question takes from another: "half of that", "15 % of the fines of 2024".

>>> refers("What is 15 % of that?")
True
>>> refer("What is 15 % of that amount?", "s1")
'What is 15 % of {s1}?'
>>> operand("What is 15 % of the total fines collected in 2024?")
('the total fines collected in 2024', 'What is 15 % of {}?')
"""

from __future__ import annotations

import re

_NOUN = r"(?:\s+(?:amount|sum|total|number|figure|value|result|revenue|price|count|average|share))?"
_NEXT = (  # not a noun: "that" in "for that country" is no amount
    r"(?:in|into|of|to|as|by|per|plus|minus|times|divided|multiplied|increased|reduced|rounded|with|"
    r"without|after|before|and|or|from|for|than|if|when|each|altogether|worth|equal|"
    r"twice|doubled|halved|\d)"
)
_BACK = re.compile(
    rf"\b(?:(?:of|to|by|from|for|is|on|with|convert|add|divide|multiply|double|halve)\s+)"
    rf"(?P<it>(?:that|this|it|them|those|these|the\s+(?:result|answer|outcome)){_NOUN})"
    rf"(?=\s*(?:[?.,;!]|$)|\s+{_NEXT})",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"\b(?:do|does|did|is|are|was|were|has|have|can|may|will)\s+"
    r"(?P<it>it|they|he|she|th(?:is|at|ese|ose)\s+(?!is\b|are\b)[a-z]+)\s+[a-z]",
    re.IGNORECASE,
)
_THERE = re.compile(r"\b(?P<it>there)\s*[?.!]?$", re.IGNORECASE)
_ENTITY = re.compile(r"\s*(?:and\s+)?(?:which|who|where)\b", re.IGNORECASE)
_LEAD = (
    r"(?:what(?:'s| is| are| would be| was)|how much (?:is|are|was)|calculate|compute|work out|"
    r"give me|tell me)"
)
_SHARE = (
    r"(?:[\d.,]+\s?(?:%|percent|per cent)|(?:one |a )?(?:half|third|quarter|fifth|tenth)|"
    r"(?:two|three) (?:thirds|quarters|fifths)|\d+/\d+|twice|double|triple|ten times|\d+ times)"
)
_OPERAND = re.compile(
    rf"^(?P<before>(?:{_LEAD}\s+)?(?:{_SHARE})(?:\s+of)?\s+)"
    r"(?P<what>(?:the|our|all|average|total|number)\b[^?.;]*?)(?P<after>\s*[?.!]?)$",
    re.IGNORECASE,
)
_CONVERT = re.compile(
    rf"^(?P<before>(?:{_LEAD}|convert|express)\s+)"
    r"(?P<what>(?:the|our)\b[^?.;]*?)(?P<after>\s+(?:in|to|into)\s+(?:euros?|dollars?|pounds|cents|"
    r"days|weeks|hours|minutes|months|years|km|kilomet(?:re|er)s|miles|kg|kilograms?|grams|lbs?|"
    r"fahrenheit|celsius|lit(?:re|er)s|gallons)\s*[?.!]?)$",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    rf"^(?P<before>(?:{_LEAD})\s+)"
    r"(?P<what>(?:the|our)\b[^?;]*?)(?P<after>\s*,?\s+(?:plus|minus|with|including|after|"
    r"divided by|multiplied by|times|increased by|reduced by|rounded)\s+[^?]*\d[^?]*[?.!]?)$",
    re.IGNORECASE,
)
_ADD = re.compile(
    r"^(?P<before>(?:add|subtract|deduct|take)\s+[\d.,]+\s?(?:%|percent|per cent)\s+"
    r"(?:to|from|off)\s+)"
    r"(?P<what>(?:the|our)\b[^?;]*?)(?P<after>\s*[.!]?)$",
    re.IGNORECASE,
)
_DANGLING = re.compile(
    r"\b(?:they|them|(?:for|of|in|on|to|with|by|at|from)\s+(?:that|this|those|these)\s+[a-z]+)\b",
    re.IGNORECASE,
)
_IF = re.compile(
    r"^(?:if|suppose)\s+(?P<what>(?:the|our)\b[^?;,]*?)\s+(?:were|was|is|are|rose|rises|grew|grows|"
    r"went up|goes up|fell|falls|increased?s?|decreased?s?|dropped|drops)\s+(?:by\s+)?"
    r"(?P<by>[\d.,]+\s?(?:%|percent))(?P<way>\s+(?:higher|lower|more|less|larger|smaller))?.*\?$",
    re.IGNORECASE,
)


def refers(text: str, before: str = "") -> bool:
    """Whether a question is about the answer of the one before it.

    "It" is, only if that one asks for a person, a thing or a place: "it" in "how long is the
    warranty, and does it cover batteries?" is the warranty.
    """
    return _reference(text, before) is not None


def refer(text: str, step: str, before: str = "") -> str:
    """The question with the reference replaced by the place of a step's answer.

    >>> refer("when does it close?", "s1", before="Which branch has most books?")
    'when does {s1} close?'
    """
    match = _reference(text, before)
    if match is None:
        return text
    place = f"in {{{step}}}" if match["it"].lower() == "there" else f"{{{step}}}"
    return f"{text[: match.start('it')]}{place}{text[match.end('it') :]}"


def _reference(text: str, before: str) -> re.Match[str] | None:
    patterns = (_BACK, _SUBJECT, _THERE) if _ENTITY.match(before) else (_BACK,)
    return next(filter(None, (pattern.search(text) for pattern in patterns)), None)


def dangles(text: str) -> bool:
    """Whether a sentence has a pronoun whose noun must be in another one.

    >>> dangles("which discount do they get?"), dangles("Is it sold? They are boots.")
    (True, False)
    """
    return _DANGLING.search(text) is not None and not re.search(r"[.?!]\s", text)


def operand(text: str) -> tuple[str, str] | None:
    """A noun phrase that a calculation is about, and the calculation with `{}` in its place."""
    for pattern in (_OPERAND, _CONVERT, _CHANGE, _ADD):
        if match := pattern.match(text.strip()):
            return match["what"].strip(), f"{match['before']}{{}}{match['after']}"
    if match := _IF.match(text.strip()):
        less = re.search(
            r"\b(fell|falls|decrease|drop|lower|less|smaller)", match[0], re.IGNORECASE
        )
        change = "decreased" if less else "increased"
        return match["what"].strip(), f"What is {{}} {change} by {match['by']}?"
    return None
