"""The calculator as a specialist, with and without a model."""

import pytest

from multi_agent.specialists import Context
from multi_agent.specialists.calculator import open_specialist
from multi_agent.state import Step
from multi_agent.tools.builtin import builtin_tools
from multi_agent.tools.toolbox import ToolError
from seedbed.errors import SeedbedError
from seedbed.models.scripted import ScriptedChatModel


class Workspace:
    documents = database = None

    class config:
        mcp_servers = {}  # noqa: RUF012


@pytest.fixture
def call():
    tools = {tool.name: tool for tool in builtin_tools(Workspace)}

    def call(name, **arguments):
        try:
            return tools[name].function(**arguments)
        except SeedbedError as error:
            raise ToolError(str(error)) from None

    return call


def work(task, call, model=None):
    step = Step(id="s1", specialist="calculator", task=task)
    return open_specialist(Workspace).work(step, Context(call, model))


def test_result_has_number_reading_and_evidence(call):
    result = work("What is 15 % of €1,234.50?", call)
    assert result.answer == "≈ €185.18" and result.number == 185.175
    (evidence,) = result.evidence
    assert (evidence.kind, evidence.text) == ("calculation", "15 percent * €1,234.50")


def test_task_without_numbers_is_a_problem(call):
    result = work("What is 15 % of the revenue?", call)
    assert "'revenue'" in result.problem and not result.answer


STORY = "Ann has 3 crates with 14 jars and gives 5 jars away. How many jars are left?"


def test_model_proposes_expression_which_is_evaluated(call):
    model = ScriptedChatModel([{"expression": "3 * 14 - 5"}])
    result = work(STORY, call, model)
    assert (result.answer, result.number) == ("37", 37)
    assert "<<<TASK" in model.calls[0].text


@pytest.mark.parametrize(
    "reply", [{"expression": "3 * 14 - 6"}, {"expression": ""}, {"expression": "open('x')"}]
)
def test_expression_with_other_numbers_or_none_is_a_problem(call, reply):
    result = work(STORY, call, ScriptedChatModel([reply]))
    assert result.problem and not result.answer


def test_model_that_refuses_is_a_problem(call):
    result = work(STORY, call, ScriptedChatModel([SeedbedError("no")]))
    assert "no" in result.problem


def test_bid_is_high_only_for_arithmetic():
    bid = open_specialist(Workspace).bid
    assert bid("What is 15 % of 240?") > 0.9
    assert bid("How many orders were placed in May?") < 0.2
    assert bid(STORY) < 0.5
