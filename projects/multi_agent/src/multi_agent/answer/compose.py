"""The answer of a run, from the results of its steps.

>>> step = Step(id="s1", specialist="calculator", task="What is 2 + 2?")
>>> compose_answer([step], {"s1": Result(step="s1", answer="4", number=4)}).text
'4'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from multi_agent.answer.verify import CHECKED
from multi_agent.runs.state import Answer, Result, Step, readable

NO_ANSWER = "I can't answer that."


def compose_answer(plan: Sequence[Step], results: Mapping[str, Result], reason: str = "") -> Answer:
    """The answers of the steps that no other step needs, in the order of the task.

    `reason` is why there is no plan, or why the run ended early.
    """
    if not plan:
        return Answer(text=f"{NO_ANSWER} {reason}".strip(), confident=False, missing=(reason,))
    needed = {id for step in plan for id in step.after}
    last = [results[step.id] for step in plan if step.id in results.keys() - needed]
    answers = [result for result in last if result.answer]
    missing = tuple(
        f"{readable(step, results).strip(' ?.')}: {problem}"
        for step in plan
        if (problem := problem_of(step, results, reason))
    )
    texts = [result.answer for result in answers]
    if not texts:
        texts = [f"{NO_ANSWER} {missing[0] if missing else reason}"]
    elif missing:
        texts += [f"(no answer to: {text})" for text in missing]
    evidence = [one for step in plan if step.id in results for one in results[step.id].evidence]
    unchecked = any(one.kind in CHECKED and not one.checked for one in evidence)
    return Answer(
        text="; ".join(texts),
        confident=bool(answers) and not missing and not unchecked,
        number=answers[0].number if len(answers) == 1 else None,
        explanation="\n".join(explained(step, results) for step in plan if step.id in results),
        evidence=tuple(evidence),
        missing=missing,
    )


def problem_of(step: Step, results: Mapping[str, Result], reason: str) -> str:
    """Why a step has no answer; empty if it has one, or if only a step before it is to blame."""
    if step.id in results:
        return results[step.id].problem
    blocked = any(id not in results or results[id].problem for id in step.after)
    return "" if blocked else reason or "It was not worked on."


def explained(step: Step, results: Mapping[str, Result]) -> str:
    """One line: who did what, and how it was understood."""
    result = results[step.id]
    outcome = result.answer or f"no answer: {result.problem}"
    reading = f" ({result.reading})" if result.reading else ""
    return f"{step.specialist}: {readable(step, results)}{reading} → {outcome}"
