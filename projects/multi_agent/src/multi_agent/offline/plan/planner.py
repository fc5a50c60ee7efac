"""Plans a task: which questions it consists of, and which specialist gets which of them.

    Planner(bids).plan("How many orders came in May, and how long is the return window?")

Each specialist bids for each question by looking at what it has: the calculator reads the
arithmetic, the analyst links the words to its tables, the researcher to its documents. Of the ways
to cut a task the one with the best bids wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from statistics import mean

from multi_agent.offline.plan.clauses import clauses
from multi_agent.offline.plan.references import dangles, operand, refer, refers
from multi_agent.state import Result, Step

WORTH_TRYING = 0.2
"""The lowest bid with which a specialist gets a question."""
WHOLE_BONUS = 0.05
"""A task is only cut if its parts fit clearly better, on average, than the whole."""
SOME_NUMBER = "100"
"""In the place of an answer that does not exist yet, for bids."""


@dataclass(frozen=True)
class Choice:
    """A question with the specialist that fits best, and its bid."""

    task: str
    specialist: str
    bid: float


class Planner:
    """Plans by rules and bids."""

    def __init__(self, bids: Callable[..., dict[str, float]]) -> None:
        self._bids = bids

    def plan(self, task: str) -> tuple[Step, ...]:
        """The steps of a task; none if no specialist can do anything with it.

        >>> Planner(lambda task, without=(): {}).plan("Sing!")
        ()
        """
        whole, pieces = self.best(task), clauses(task)
        parts = [self._part(piece, before) for before, piece in pairwise(["", *pieces])]
        bids = [bid for _, bid in parts]
        if len(parts) > 1 and min(bids) > WORTH_TRYING and mean(bids) > whole.bid + WHOLE_BONUS:
            return self._steps([steps for steps, _ in parts])
        steps, bid = self._part(task, "")
        return self._steps([steps]) if bid >= WORTH_TRYING else ()

    def best(self, task: str, without: Sequence[str] = ()) -> Choice:
        """The specialist that fits a question best, except for those in `without`."""
        bids = self._bids(task, without)
        name = max(bids, key=lambda name: bids[name], default="")
        return Choice(task, name, bids.get(name, 0.0))

    def replan(
        self,
        plan: Sequence[Step],
        results: Mapping[str, Result],
        tries: Mapping[str, Sequence[str]],
    ) -> tuple[Step, ...]:
        """Each failed step, given to the next best specialist, and those that wait for it.

        `tries` has the specialists that failed, by step.
        """
        changes: dict[str, Step] = {}
        for step in plan:
            if step.id in results and results[step.id].problem and step.id in tries:
                choice = self.best(step.task, without=tries[step.id])
                if choice.bid >= WORTH_TRYING:
                    changes[step.id] = step.model_copy(update={"specialist": choice.specialist})
        done = {id for id, result in results.items() if not result.problem}
        return tuple(changes.get(s.id, s) for s in plan if s.id not in done) if changes else ()

    def _part(self, piece: str, before: str) -> tuple[list[Choice], float]:
        """One question, or an operand and the calculation with it, whichever fits better."""
        if before and refers(piece, before):
            direct = self.best(refer(piece, "s0", before).replace("{s0}", SOME_NUMBER))
            return [Choice(piece, direct.specialist, direct.bid)], direct.bid
        direct = self.best(piece)
        if before and dangles(piece):  # the question before says who "they" are
            context = f"{before.rstrip('?.! ')}? {piece}"
            return [Choice(context, direct.specialist, direct.bid)], direct.bid
        if parts := operand(piece):
            inner = self.best(f"What is {parts[0]}?")
            outer = self.best(parts[1].replace("{}", SOME_NUMBER))
            bid = min(inner.bid, outer.bid)
            if bid >= direct.bid and outer.specialist != inner.specialist:
                return [inner, Choice(parts[1], outer.specialist, outer.bid)], bid
        return [direct], direct.bid

    @staticmethod
    def _steps(parts: Sequence[Sequence[Choice]]) -> tuple[Step, ...]:
        steps: list[Step] = []
        numbers = count(1)
        for part in parts:
            last, before = (steps[-1].id, steps[-1].task) if steps else ("", "")
            for position, choice in enumerate(part):
                id, task = f"s{next(numbers)}", choice.task
                after: tuple[str, ...] = ()
                if position:
                    task, after = task.replace("{}", f"{{{steps[-1].id}}}"), (steps[-1].id,)
                elif last and refers(task, before):
                    task, after = refer(task, last, before), (last,)
                steps.append(Step(id=id, specialist=choice.specialist, task=task, after=after))
        return tuple(steps)
