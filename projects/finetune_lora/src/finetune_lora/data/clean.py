"""What is taken out of a dataset before training: duplicates, conflicts, leaks; and what belongs
together.

It works on examples in their order and drops the later ones, so the result depends on nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from finetune_lora.data.normal import NearIndex, instruction, question, spoken
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


def cluster(examples: Sequence[Example], near: float) -> Clusters:
    """Join what asks nearly the same; of those with the same answer keep the first.

    Nearly the same questions with different answers are the ones worth learning from: they stay,
    together. `near` is the Jaccard similarity from which texts count as near; 1: only equal ones.
    """
    index = NearIndex(near)
    remaining: list[Example] = []
    tasks: list[tuple[str, str]] = []
    parents: list[int] = []
    near_duplicates = 0
    for example in examples:
        text = spoken(example)
        signature = index.signature(text)
        candidates = list(index.proposed(signature))
        task = (example.answer.strip(), instruction(example))
        if any(tasks[n] == task and index.near(n, text) for n in candidates):
            near_duplicates += 1
            continue
        number = index.add(text, signature)
        remaining.append(example)
        tasks.append(task)
        parents.append(number)
        for other in candidates:
            a, b = _root(parents, other), _root(parents, number)
            if a != b and index.near(other, text):
                parents[max(a, b)] = min(a, b)
    groups = [_root(parents, number) for number in range(len(remaining))]
    return Clusters(remaining, groups, near_duplicates)


def without_leaks(
    examples: Iterable[Example], held_out: Sequence[Example], near: float
) -> tuple[list[Example], int]:
    """Those that ask nothing that `held_out` asks too, nearly or exactly; and how many did."""
    index = NearIndex(near)
    for example in held_out:
        text = spoken(example)
        index.add(text, index.signature(text))
    clean, leaks = [], 0
    for example in examples:
        if any(True for _ in index.matches(spoken(example))):
            leaks += 1
        else:
            clean.append(example)
    return clean, leaks


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number
