"""When two texts are the same, and when they ask the same."""

from __future__ import annotations

import re
import unicodedata

from finetune_lora.example import Example

_MARKS = re.compile(r"[\W_]+")
_DIGITS = re.compile(r"\d+(?: \d+)*")


def same(text: str) -> str:
    """Equal for texts that differ in case, white space and Unicode's ways to write a letter."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def question(example: Example) -> tuple[str, ...]:
    """What was asked, to tell whether two examples ask the same.

    Of text and label only the text: its instruction differs with the labels of the dataset.
    """
    if example.label is not None:
        return (same(example.text),)
    return tuple(f"{m['role']} {same(m['content'])}" for m in example.prompt)


def instruction(example: Example) -> str:
    """The system's part: it makes the same question another task."""
    return "\n".join(m["content"] for m in example.prompt if m["role"] == "system")


def spoken(example: Example) -> str:
    """The question without the instruction (which many rows share), case, punctuation and numbers.

    "Item 4711 arrived broken!" and "item 9 arrived broken" are equal: copies of a form differ in
    their numbers, and a model that was trained on one can answer the other.
    """
    texts = (m["content"] for m in example.prompt if m["role"] != "system")
    text = unicodedata.normalize("NFC", " ".join(texts)).casefold()
    words = _DIGITS.sub("0", _MARKS.sub(" ", text)).strip()
    # Without any word, as in "12:30?", marks and numbers are all there is to compare.
    return words if re.search(r"[^\W\d_]", words) else " ".join(text.split())
