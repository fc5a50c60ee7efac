"""The calculator: expressions of a brain, computed exactly from the numbers of the task."""

from types import SimpleNamespace

import pytest

from multi_agent.brain import Refusal
from multi_agent.brain.llm import ModelBrain
from multi_agent.runs.state import Step
from multi_agent.specialists import Context
from multi_agent.specialists.calculator import open_specialist
from multi_agent.tools.exact import calculate
from seedbed.models.scripted import ScriptedChatModel


def work(task, *replies):
    model, workspace = ScriptedChatModel(list(replies)), SimpleNamespace()
    step = Step(id="s1", specialist="calculator", task=task)
    context = Context(lambda _name, expression: calculate(expression), ModelBrain(model, workspace))
    return open_specialist(workspace).work(step, context), model


def test_result_has_unit_number_reading_and_evidence(replies):
    task = "A jacket costs 279 euros. What is the price after a discount of 20 percent?"
    result, model = work(task, replies.expression("279 * (1 - 20 / 100)", "EUR"))
    assert (result.answer, result.number) == ("€223.20", 223.2)
    (evidence,) = result.evidence
    assert (evidence.kind, evidence.text) == ("calculation", "279 * (1 - 20 / 100)")
    assert result.reading == "279 * (1 - 20 / 100) = €223.20"
    assert "Today is" in model.calls[0].text


def test_refusal_is_left_to_the_graph(replies):
    with pytest.raises(Refusal, match="The rent is missing"):
        work("Rent?", replies.reply(expression="", unit="", refusal="The rent is missing."))
