"""Plans from rules and the bids of specialists."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from multi_agent.offline.plan.planner import Planner
from multi_agent.state import Step


@dataclass
class Bidder:
    """Bids 0.9 for a single question with one of its words, 0.3 for several at once."""

    name: str
    pattern: str

    def bid(self, task: str) -> float:
        if not re.search(self.pattern, task, re.IGNORECASE):
            return 0.0
        return 0.3 if " and " in task or task.count("?") > 1 else 0.9


BIDDERS = [
    Bidder("analyst", r"orders|fines|customers"),
    Bidder("researcher", r"window|warranty|customers"),
    Bidder("calculator", r"\d+ ?%|plus|times"),
]


def bids(task: str) -> dict[str, float]:
    return {one.name: one.bid(task) for one in BIDDERS}


@pytest.fixture
def planner() -> Planner:
    return Planner(bids)


def shape(steps: tuple[Step, ...]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(step.specialist, step.task, step.after) for step in steps]


def test_independent_questions_are_steps_without_dependencies(planner: Planner) -> None:
    plan = planner.plan("How many orders came in May, and how long is the return window?")
    assert shape(plan) == [
        ("analyst", "How many orders came in May", ()),
        ("researcher", "how long is the return window?", ()),
    ]
    assert [step.id for step in plan] == ["s1", "s2"]


def test_calculation_with_an_operand_waits_for_it(planner: Planner) -> None:
    assert shape(planner.plan("What is 15 % of the total fines of 2024?")) == [
        ("analyst", "What is the total fines of 2024?", ()),
        ("calculator", "What is 15 % of {s1}?", ("s1",)),
    ]


def test_question_about_the_answer_before_waits_for_it(planner: Planner) -> None:
    plan = planner.plan("How many orders are there? How long is the window? What is 5 % of that?")
    assert shape(plan)[2] == ("calculator", "What is 5 % of {s2}?", ("s2",))


def test_operand_in_the_second_question_refers_to_its_own_step(planner: Planner) -> None:
    plan = planner.plan("How long is the warranty? What is 15 % of the total fines?")
    assert shape(plan)[1:] == [
        ("analyst", "What is the total fines?", ()),
        ("calculator", "What is 15 % of {s2}?", ("s2",)),
    ]


def test_task_is_not_cut_if_a_part_fits_no_specialist(planner: Planner) -> None:
    task = "How many orders came in May, and why is the sky blue?"
    assert shape(planner.plan(task)) == [("analyst", task, ())]


def test_task_is_cut_if_its_parts_fit_better_on_average() -> None:
    class Vague(Bidder):
        def bid(self, task: str) -> float:
            return 0.4 if task.count("?") else 0.0

    vague = Vague("vague", "")
    team = Planner(lambda task: bids(task) | {"vague": vague.bid(task)})
    task = "How many orders came in May, how many fines, and who is the boss?"
    assert len(team.plan(task)) == 3


def test_task_without_a_specialist_has_no_plan(planner: Planner) -> None:
    assert planner.plan("Sing a song!") == ()
    assert planner.plan("Sing a song, and dance a waltz!") == ()


def test_parts_have_to_be_worth_trying() -> None:
    class Shy(Bidder):
        def bid(self, task: str) -> float:
            return 0.1 if task.count("?") == 1 else 0.0

    shy = Shy("shy", "")
    planner = Planner(lambda task: {"shy": shy.bid(task)})
    assert planner.plan("What is this thing? What is that thing?") == ()
