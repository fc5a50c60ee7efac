"""The closed vocabulary: whether a mail asks for one thing, in words that are all understood.

    problems = vocabulary_doubts(mail, "refund", numbers={"59921"})    # [] if it is understood

The desk acts without a person only on a mail of which every word is in the lists of its language
and category (`vocabulary/en.toml` …). A negation, a second wish, a product or another person's name
is not in them, so it is a doubt that names the word. Nothing is stemmed, corrected or guessed.

Greeting words, the sender's name as the last line and the numbers of the order are set aside.
"""

import re
import tomllib
import unicodedata
from collections.abc import Collection
from decimal import Decimal
from functools import cache
from pathlib import Path

from agentic_workflow.case import Category, Language, Mail

_FOLDER = Path(__file__).with_name("vocabulary")
_PUNCTUATION = ".,;:!?()\"'“”„«»¿¡#…–-"
# Not what `Decimal` accepts: "snan" is a word, and its value cannot be looked up in a set.
_SUM = re.compile(r"€?([0-9]{1,18}(?:[.,][0-9]{1,4})?)€?")
_REPLY = re.compile(r"\s*(?:re|aw|antw|rv|tr)\s?:", re.IGNORECASE)


@cache
def vocabulary(language: Language) -> dict[str, dict[str, frozenset[str]]]:
    """The word lists of a language by category; "" has the words of greetings.

    Each category has three: what the mail is `about`, words that `ask`, and all other `words`.
    """
    tables = tomllib.loads((_FOLDER / f"{language}.toml").read_text("utf-8"))
    greetings = {"words": tables.pop("greetings")}
    return {
        category: {name: frozenset(words.split()) for name, words in lists.items()}
        for category, lists in {**tables, "": greetings}.items()
    }


def vocabulary_doubts(mail: Mail, category: Category, numbers: Collection[str]) -> list[str]:
    """Why the mail is not understood completely; empty if it is.

    `numbers` are the order's: its id, and sums as the shop writes them, such as "54.80".

    >>> mail = Mail(message_id="m", content_hash="h", sender="tom@mail.example", language="en",
    ...     text="Hello, please refund order 59921. Thank you, Tom")
    >>> vocabulary_doubts(mail, "refund", {"59921"})
    []
    >>> mail = mail.model_copy(update={"text": "Do not refund order 59921, please."})
    >>> vocabulary_doubts(mail, "refund", {"59921"})
    ['Words outside of a plain request: not.']
    """
    lists = vocabulary(mail.language).get(category)
    if lists is None:
        return [f"Mails about {category} are not understood completely."]
    # 1. Set aside what is not a part of the request.
    subject = "" if mail.quoted and _REPLY.match(mail.subject) else mail.subject
    words = [*_words(subject), *_words(mail.text)]
    name_words = set(
        _words(re.sub(r"[._+-]", " ", f"{mail.sender_name} {mail.sender.partition('@')[0]}"))
    )
    while words and words[-1] in name_words:
        words.pop()
    greetings = vocabulary(mail.language)[""]["words"]
    words = _without_pairs(words, greetings)
    # 2. Every other word has to be in the lists.
    lexicon = greetings.union(*lists.values())
    amounts = {amount for number in numbers if (amount := _amount(number)) is not None}
    unknown = [
        word
        for word in words
        if word not in lexicon and word not in numbers and _amount(word) not in amounts
    ]
    if unknown:
        return [f"Words outside of a plain request: {', '.join(dict.fromkeys(unknown))[:200]}."]
    # 3. The mail has to name its topic, and to ask.
    asks = "?" in mail.text or lists["ask"].intersection(words)
    if not (asks and lists["about"].intersection(words)):
        return ["It does not plainly ask for anything."]
    return []


def _words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation around them.

    >>> _words("Where’s order #59921?")
    ["where's", 'order', '59921']
    """
    plain = unicodedata.normalize("NFC", text).replace("’", "'").lower()
    return [word for part in plain.split() if (word := part.strip(_PUNCTUATION))]


def _without_pairs(words: list[str], greetings: Collection[str]) -> list[str]:
    """The words without pairs that form a greeting: "good evening", but not "evening" alone."""
    rest = list[str]()
    for word in words:
        if rest and f"{rest[-1]}-{word}" in greetings:
            rest.pop()
        else:
            rest.append(word)
    return rest


def _amount(word: str) -> Decimal | None:
    """The sum that a word names, such as "54,80" or "54.80€"."""
    match = _SUM.fullmatch(word)
    return Decimal(match[1].replace(",", ".")) if match else None
