"""Functions of the user as tools, and the memory: the operator calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from multi_agent.tools import own
from multi_agent.tools.toolbox import tool_of
from seedbed.testing.vendor.script import Reply

CITIES: list[str] = []


def weather(city: str) -> str:
    """The weather of a city."""
    CITIES.append(city)
    return f"{city}: 7 °C"


@pytest.fixture
def own_tool() -> Any:
    own.TOOLS.append(tool_of(weather))
    yield
    own.TOOLS.clear()


def call(name: str, **arguments: Any) -> Reply:
    return Reply(tool_calls=[(name, arguments)])


@pytest.mark.usefixtures("own_tool")
def test_function_in_the_list_is_planned_with_and_called(
    solve: Callable[..., Any], replies: Any
) -> None:
    plan = Reply(replies.plan(("operator", "How warm is it in Bern?")), match="weather")
    script = [plan, call("weather", city="Bern"), "7 °C"]
    solved = solve("How warm is it in Bern?", script, max_parallel=4)  # a team of its own
    assert (solved.run.status, solved.run.answer.text) == ("done", "7 °C"), solved.run
    assert CITIES == ["Bern"] and not solved.vendor.problems
    assert solved.run.answer.evidence[0].source == "weather"


def test_fact_is_remembered_after_permission_and_recalled_by_its_owner_only(
    solve: Callable[..., Any], replies: Any
) -> None:
    plan = replies.plan(("operator", "Remember that our VAT is 19 %."))
    script = [plan, call("remember", fact="Our VAT is 19 %."), "Remembered: Our VAT is 19 %."]
    solved = solve("Remember that our VAT is 19 %.", script, ["allow"], max_replans=1)
    team = solved.team
    assert solved.run.answer.confident, solved.run
    plan = replies.plan(("operator", "What did the user ask to remember?"))
    for owner, text in (("", "Our VAT is 19 %."), ("bob", "NONE: nothing is known")):
        solve.replies([plan, call("recall"), text])
        run = team.wait(team.start("What do you remember?", owner=owner))
        recalled = [e.output for e in run.answer.evidence]
        assert recalled == ([] if owner else ['["Our VAT is 19 %."]']), run
    team.erase_memory("")
    recall = next(tool for tool in team.tools if tool.name == "recall")
    assert recall.function() == []
