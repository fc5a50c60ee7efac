"""The answer of a run, from results that are there, failed or missing."""

from __future__ import annotations

from multi_agent.answer.compose import compose_answer
from multi_agent.runs.state import Evidence, Result, Step

QUERY = Evidence(kind="query", source="shop", text="SELECT 240", checked="repeated")
S1 = Step(id="s1", specialist="analyst", task="What are the fines?")
S2 = Step(id="s2", specialist="calculator", task="What is 15 % of {s1}?", after=("s1",))
S3 = Step(id="s3", specialist="researcher", task="How long is the window?")


def answered(step: str, answer: str, number: float | None = None) -> Result:
    return Result(step=step, answer=answer, number=number, reading="fines", evidence=(QUERY,))


def test_answer_is_that_of_the_last_step_of_a_chain() -> None:
    results = {"s1": answered("s1", "240", 240), "s2": answered("s2", "36", 36)}
    answer = compose_answer([S1, S2], results)
    assert (answer.text, answer.number, answer.confident) == ("36", 36, True)
    assert len(answer.evidence) == 2 and not answer.missing
    assert answer.explanation.splitlines() == [
        "analyst: What are the fines? (fines) → 240",
        "calculator: What is 15 % of 240? (fines) → 36",
    ]


def test_independent_answers_are_in_the_order_of_the_task() -> None:
    results = {"s3": answered("s3", "30 days", 30), "s1": answered("s1", "240", 240)}
    answer = compose_answer([S1, S3], results)
    assert (answer.text, answer.number, answer.confident) == ("240; 30 days", None, True)


def test_part_without_an_answer_is_reported_and_the_rest_kept() -> None:
    results = {"s1": answered("s1", "240", 240), "s3": Result(step="s3", problem="Not there.")}
    answer = compose_answer([S1, S3], results)
    assert answer.text == "240; (no answer to: How long is the window: Not there.)"
    assert not answer.confident and answer.missing == ("How long is the window: Not there.",)


def test_answer_of_an_intermediate_step_is_no_answer_of_the_task() -> None:
    results = {"s1": answered("s1", "240", 240), "s2": Result(step="s2", problem="Too hard.")}
    answer = compose_answer([S1, S2], results)
    assert answer.text == "I can't answer that. What is 15 % of 240: Too hard."
    assert answer.number is None and not answer.confident
    assert "→ 240" in answer.explanation


def test_step_that_was_not_reached_has_the_reason_of_the_end() -> None:
    reason = "The budget of 1 step is used up."
    answer = compose_answer([S1, S3], {"s1": answered("s1", "240")}, reason)
    assert answer.missing == (f"How long is the window: {reason}",) and not answer.confident


def test_task_without_a_plan_is_answered_with_the_reason() -> None:
    answer = compose_answer([], {}, "The run was stopped.")
    assert answer.text == "I can't answer that. The run was stopped."
    assert answer.missing == ("The run was stopped.",) and not answer.confident
