"""What is removed from a dataset before training: duplicates, conflicts and leaks.

The `without_…` functions keep the first of several equal examples, so the result depends on the
order of the examples alone. They count the removed rows in a `Removed`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from finetune_lora.example import Example

_MARKS = re.compile(r"[\W_]+")
_DIGITS = re.compile(r"\d+(?: \d+)*")
_REASONS = ("duplicates", "labels_in_conflict", "near_duplicates", "leaks")


@dataclass
class Removed:
    """Rows by reason, and the line numbers of each text with several labels."""

    rows: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(_REASONS, 0)))
    conflicts: list[list[int]] = field(default_factory=list)


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


def _question(example: Example) -> tuple[str, ...]:
    """The messages before the answer, with case, white space and Unicode form normalized.

    For text and label only the text: the instruction depends on the labels of the dataset.
    """
    messages = example.prompt if example.label is None else example.prompt[-1:]
    texts = (unicodedata.normalize("NFC", m["content"]).casefold().split() for m in messages)
    return tuple(f"{m['role']} {' '.join(t)}" for m, t in zip(messages, texts, strict=True))


def without_duplicates(examples: Iterable[Example], removed: Removed) -> list[Example]:
    """The first of each question and answer. All rows of a text with several labels are dropped, as
    it is not known which one is right; several answers in conversations may all be right."""
    by_question: dict[tuple[str, ...], list[Example]] = defaultdict(list)
    for example in examples:
        by_question[_question(example)].append(example)
    remaining: list[Example] = []
    for group in by_question.values():
        answers = {e.answer.strip(): e for e in reversed(group)}
        if len(answers) > 1 and group[0].label is not None:
            removed.conflicts.append([e.line for e in group])
            removed.rows["labels_in_conflict"] += len(group)
            continue
        removed.rows["duplicates"] += len(group) - len(answers)
        remaining += answers.values()
    return sorted(remaining, key=lambda e: e.line)


def without_near_duplicates(examples: Iterable[Example], removed: Removed) -> list[Example]:
    """The first of each `spoken` question, answer and instruction.

    Equal questions with different answers are the ones worth learning from: they stay.
    """
    first: dict[tuple[str, ...], Example] = {}
    for example in examples:
        instruction = (m["content"] for m in example.prompt if m["role"] == "system")
        key = (spoken(example), example.answer.strip(), *instruction)
        removed.rows["near_duplicates"] += first.setdefault(key, example) is not example
    return list(first.values())


def without_leaks(
    examples: Iterable[Example], held_out: Iterable[Example], removed: Removed
) -> list[Example]:
    """The examples whose `spoken` question is not in `held_out`."""
    questions = {spoken(example) for example in held_out}
    remaining: list[Example] = []
    for example in examples:
        if spoken(example) in questions:
            removed.rows["leaks"] += 1
        else:
            remaining.append(example)
    return remaining
