"""The operator in the graph: its agent is a graph inside a node, without checkpoints of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from langchain_core.messages import AIMessage

from multi_agent.runs.state import Result
from multi_agent.specialists.operator import Operator
from multi_agent.tools.toolbox import tool_of
from seedbed.models.scripted import ScriptedChatModel

Open = Callable[..., Any]


def call(name: str, /, **arguments: str) -> AIMessage:
    return AIMessage(content="", tool_calls=[{"name": name, "args": arguments, "id": name}])


def test_run_waits_for_a_permission_and_repeats_neither_model_nor_tool_calls(
    open_scripted: Open, replies: Any
) -> None:
    done: list[str] = []

    def look_up(name: str) -> str:
        """Look an address up."""
        done.append(f"look up {name}")
        return f"{name}@example.com"

    def send(to: str) -> str:
        """Send a mail."""
        done.append(f"send to {to}")
        return f"sent to {to}"

    tools = [tool_of(look_up), tool_of(send, effects=True)]
    lookup, sending = call("look_up", name="ann"), call("send", to="ann@example.com")
    model = ScriptedChatModel([lookup, sending, "Sent 7 mails.", "Sent 8 mails."])
    planner = ScriptedChatModel([replies.plan(("operator", "Mail Ann."))])
    models = {"planner": planner, "operator": model}
    team = open_scripted([Operator(tools)], tools, models=models)
    run = team.wait(team.start("Mail Ann."))
    assert run.status == "waiting" and "Allow send" in run.reason
    team.reply(run.id, "allow", team.question(run.id)["key"])
    run = team.wait(run.id)
    assert (run.status, run.answer.text) == ("done", "sent to ann@example.com")
    assert done == ["look up ann", "send to ann@example.com"]
    assert len(model.calls) == 4 and len(planner.calls) == 1


def test_mail_is_sent_once_though_the_run_plans_three_times(
    open_scripted: Open, scripted: Any, replies: Any
) -> None:
    sent: list[str] = []

    def send_mail(text: str) -> str:
        """Send a mail."""
        sent.append(text)
        return "sent"

    def plan(request: Any) -> str:
        first = re.search(r"Number the steps from s(\d+) on", request.text)
        assert first
        steps = ("operator", "Mail Ann"), ("alpha", "What is alpha?")
        return str(replies.plan(*steps, first=int(first[1])))

    def operate(request: Any) -> AIMessage | str:
        after = request.messages[-1].type == "tool"
        return "The mail was sent." if after else call("send_mail", text="hi")

    alpha = scripted("alpha", lambda step, _: Result(step=step.id, problem="Alpha is away."))
    models = {"planner": ScriptedChatModel(plan), "operator": ScriptedChatModel(operate)}
    tool = tool_of(send_mail, effects=True)
    options = {"models": models, "permissions": {"send_mail": "allow"}}
    team = open_scripted([Operator([tool]), alpha], [tool], **options)
    run = team.wait(team.start("Mail Ann, and tell me what alpha is."))
    kinds = [event.kind for event in team.store.events(run.id)]
    assert (sent, kinds.count("replanned")) == (["hi"], 2)
    assert kinds.count("tool_started") == 1 and kinds.count("tool_skipped") == 2
