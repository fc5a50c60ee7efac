"""Whether a span of a document supports a sentence that a model wrote, decided without a model.

    check("Logs are kept for 15 days.", "Logs are kept for 14 days.")    # "refused"

Only a sentence that equals the span is confirmed: white space, case and markup aside. No rule about
words decides more than that, as a condition at the end, a sign or a unit changes the meaning.

    supported   shown with its citation
    doubtful    decided by a judge, see `judge`, or shown with a mark
    refused     not shown: it has a number or a name in code that the document does not have
"""

from __future__ import annotations

import re
from typing import Literal

from rag_chatbot.read.language import plain

Verdict = Literal["supported", "doubtful", "refused"]

_LIST_MARK = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_TOKEN = re.compile(
    r"(?<![\w-])--?[A-Za-z][\w-]*|\d+(?:[.,:]\d+)*|[^\W\d]\w*(?:[._/@]\w+)*",
)
_NAME_IN_CODE = re.compile(r"_|^-|\w\w\.\w\w|\w@\w|[a-z][A-Z]|[^\W\d]\d")


def check(sentence: str, evidence: str, *, kind: str = "markdown", context: str = "") -> Verdict:
    """Compare a sentence with a span of a document of the format `kind`.

    `context` is the text above the span, such as its headings: its numbers and names are allowed.

    >>> check("old logs are **deleted**.", "- Old logs are deleted.")
    'supported'
    >>> check("Old logs are deleted.", "Old logs are deleted on Fridays.")
    'doubtful'
    """
    if normalized(sentence, "sentence") == normalized(evidence, kind):
        return "supported"
    present = _exact_tokens(f"{context}\n{evidence}")
    missing = _exact_tokens(sentence) - present
    if not re.search(r"\d", evidence):  # where numbers may be in words
        missing = {token for token in missing if not token[0].isdigit()}
    return "refused" if missing else "doubtful"


def normalized(text: str, kind: str) -> str:
    """A sentence in the form in which equal ones are equal.

    `kind` is the format of its document, or "sentence" for the sentence of a model, in which the
    mark of a list item would be a sign.

    >>> normalized("Logs are\\n**rotated**.", "sentence"), normalized("- 5 degrees", "html")
    ('logs are rotated', '5 degrees')
    """
    if kind != "sentence":
        text = _LIST_MARK.sub("", text, count=1)
    text = plain(text, "markdown" if kind == "sentence" else kind)
    return " ".join(text.casefold().split()).rstrip(".。")


def _exact_tokens(text: str) -> set[str]:
    """Numbers and names in code, which have no synonyms; 8,192 and 8192 are one."""
    tokens = set()
    for token in _TOKEN.findall(re.sub(r"[`*]", "", text)):
        if token[0].isdigit():
            tokens.add(re.sub(r"[.,]", "", token))
        elif _NAME_IN_CODE.search(token):
            tokens.add(token.lower())
    return tokens
