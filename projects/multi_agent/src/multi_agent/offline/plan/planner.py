"""Plans a task: which questions it consists of, and which specialist gets which of them.

    Planner(bids).plan("How many orders came in May, and how long is the return window?")

Each specialist bids for each question by trying it: the calculator reads the arithmetic, the
analyst links the words to its tables, the researcher looks for a quote. Of the ways to cut a task
the one with the best bids wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain, islice
from statistics import mean

from multi_agent.offline.plan.clauses import clauses
from multi_agent.offline.plan.references import EARLIER, OPERAND, SOME_NUMBER, calculations
from multi_agent.state import Step

WORTH_TRYING = 0.2
"""The lowest bid with which a specialist gets a question."""
WHOLE_BONUS = 0.05
"""A task is only cut if its parts fit clearly better, on average, than the whole."""
_OPERANDS = 3  # noun phrases of a calculation that are tried


@dataclass(frozen=True)
class Choice:
    """A question with the specialist that fits best, and its bid."""

    task: str
    specialist: str
    bid: float
    waits: bool = False
    """For the answer before it, whose place in the task is `{}`."""


class Planner:
    """Plans by rules and bids."""

    def __init__(self, bids: Callable[[str], dict[str, float]]) -> None:
        self._bids = bids

    def plan(self, task: str) -> tuple[Step, ...]:
        """The steps of a task; none if no specialist can do anything with it.

        >>> Planner(lambda task: {}).plan("Sing!")
        ()
        """
        whole = self._part(task)
        parts = [self._part(piece, is_first=not n) for n, piece in enumerate(clauses(task))]
        bids = [min(choice.bid for choice in part) for part in parts]
        whole_bid = min(choice.bid for choice in whole)
        if len(parts) > 1 and min(bids) > WORTH_TRYING and mean(bids) > whole_bid + WHOLE_BONUS:
            return self._steps(chain(*parts))
        return self._steps(whole) if whole_bid >= WORTH_TRYING else ()

    def _best(self, task: str) -> Choice:
        """The specialist that fits a question best."""
        bids = self._bids(task)
        name = max(bids, key=lambda name: bids[name], default="")
        return Choice(task, name, bids.get(name, 0.0))

    def _part(self, piece: str, *, is_first: bool = True) -> list[Choice]:
        """One question, or a calculation with the answer of another, whichever fits better."""
        direct = self._best(piece)
        for phrase, calculation in islice(calculations(piece, OPERAND), _OPERANDS):
            inner, outer = self._best(f"What is {phrase}?"), self._calculation(calculation)
            if min(inner.bid, outer.bid) >= direct.bid and outer.specialist != inner.specialist:
                return [inner, outer]
        earlier = None if is_first else next(calculations(piece, EARLIER), None)
        outer = self._calculation(earlier[1]) if earlier else direct
        return [outer if outer.bid >= direct.bid else direct]

    def _calculation(self, text: str) -> Choice:
        """The choice for a calculation with `{}` in the place of the answer before it."""
        return replace(self._best(text.replace("{}", SOME_NUMBER)), task=text, waits=True)

    @staticmethod
    def _steps(choices: Iterable[Choice]) -> tuple[Step, ...]:
        steps: list[Step] = []
        for number, choice in enumerate(choices, 1):
            task, after = choice.task, tuple[str, ...]()
            if choice.waits:
                task, after = task.replace("{}", f"{{{steps[-1].id}}}"), (steps[-1].id,)
            step = Step(id=f"s{number}", specialist=choice.specialist, task=task, after=after)
            steps.append(step)
        return tuple(steps)
