"""What is taken out of a dataset before training: duplicates, conflicts, leaks; and what belongs
together.

It works on examples in their order and drops the later ones, so the result depends on nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from finetune_lora.data.normal import instruction, question, spoken
from finetune_lora.example import Example


@dataclass(frozen=True)
class Exact:
    """`conflicts`: line numbers of each text that came with several labels; all are dropped.

    `ambiguous`: questions of conversations with several answers; these stay, as both may be right.
    """

    remaining: list[Example]
    duplicates: int
    conflicts: list[list[int]]
    ambiguous: int


@dataclass(frozen=True)
class Clusters:
    """`groups[i]` is the cluster of `remaining[i]`: rows that must not be parted by a split."""

    remaining: list[Example]
    groups: list[int]
    near_duplicates: int


def without_duplicates(examples: Iterable[Example]) -> Exact:
    """The first of each question and answer. Two labels for one text: which one is right is not
    known, so all its rows are dropped."""
    by_question: dict[tuple[str, ...], list[Example]] = defaultdict(list)
    total = 0
    for example in examples:
        total += 1
        by_question[question(example)].append(example)
    remaining: list[Example] = []
    conflicts: list[list[int]] = []
    ambiguous = dropped = 0
    for group in by_question.values():
        answers = {e.answer.strip(): e for e in reversed(group)}
        if len(answers) > 1 and group[0].label is not None:
            conflicts.append([e.line for e in group])
            dropped += len(group)
            continue
        ambiguous += len(answers) > 1
        remaining += answers.values()
    remaining.sort(key=lambda e: e.line)
    return Exact(remaining, total - dropped - len(remaining), conflicts, ambiguous)


def cluster(examples: Iterable[Example]) -> Clusters:
    """Group what asks the same apart from case, punctuation and numbers; of those with the same
    answer keep the first.

    Equal questions with different answers are the ones worth learning from: they stay, together.
    """
    numbers: dict[str, int] = {}
    kept: set[tuple[str, str, str]] = set()
    remaining: list[Example] = []
    groups: list[int] = []
    near_duplicates = 0
    for example in examples:
        text = spoken(example)
        task = (text, example.answer.strip(), instruction(example))
        if task in kept:
            near_duplicates += 1
            continue
        kept.add(task)
        remaining.append(example)
        groups.append(numbers.setdefault(text, len(numbers)))
    return Clusters(remaining, groups, near_duplicates)


def without_leaks(
    examples: Sequence[Example], held_out: Iterable[Example]
) -> tuple[list[Example], int]:
    """Those that ask nothing that `held_out` asks too, apart from case, punctuation and numbers;
    and how many did."""
    held = {spoken(example) for example in held_out}
    clean = [example for example in examples if spoken(example) not in held]
    return clean, len(examples) - len(clean)
