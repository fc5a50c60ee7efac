"""Actions of the operator in runs that plan again: each is carried out once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage

from multi_agent.runs.state import Result
from multi_agent.specialists.operator import Operator
from multi_agent.tools.toolbox import tool_of
from seedbed.models.scripted import Call, ScriptedChatModel

Open = Callable[..., Any]
TASK = "Mail Ann, and tell me what alpha is."


class Mail:
    """A mailbox whose tool fails with the given errors first."""

    def __init__(self, *errors: Exception) -> None:
        self.sent: list[str] = []
        self._errors = list(errors)
        self.tool = tool_of(self.send_mail, effects=True)

    def send_mail(self, text: str) -> str:
        """Send a mail.

        Args:
            text: What it says.
        """
        self.sent.append(text)
        if self._errors:
            raise self._errors.pop(0)
        return "sent"


@pytest.fixture
def plan(replies: Any) -> Callable[[Call], str]:
    """Two steps. The one for alpha fails, so the run plans again, and the mail is in each plan."""

    def plan(call: Call) -> str:
        first = re.search(r"Number the steps from s(\d+) on", call.text)
        assert first
        steps = ("operator", "Mail Ann"), ("alpha", "What is alpha?")
        return replies.plan(*steps, first=int(first[1]))

    return plan


def operate(call: Call) -> AIMessage | str:
    if call.messages[-1].type == "tool":
        return "The mail was sent."
    arguments = {"name": "send_mail", "args": {"text": "hi"}, "id": "1", "type": "tool_call"}
    return AIMessage("", tool_calls=[arguments])


@pytest.fixture
def open_team(open_scripted: Open, scripted: Any, plan: Callable[[Call], str]) -> Open:
    """A team of a planner, the operator with a mailbox, and alpha, which fails each time."""

    def open_one(mail: Mail, **options: Any) -> Any:
        alpha = scripted("alpha", lambda step, _: Result(step=step.id, problem="Alpha is away."))
        models = {"planner": ScriptedChatModel(plan), "operator": ScriptedChatModel(operate)}
        specialists = [Operator([mail.tool]), alpha]
        return open_scripted(specialists, [mail.tool], models=models, **options)

    return open_one


def kinds(team: Any, run: Any) -> list[str]:
    return [event.kind for event in team.store.events(run.id) if "tool" in event.kind]


def test_mail_is_sent_once_though_the_run_plans_three_times(open_team: Open) -> None:
    mail = Mail()
    team = open_team(mail, permissions={"send_mail": "allow"})
    run = team.wait(team.start(TASK))
    replans = team.store.events(run.id, kind="replanned")
    assert (mail.sent, len(replans)) == (["hi"], 2)
    assert kinds(team, run) == ["tool_started", "tool_ended", "tool_skipped", "tool_skipped"]
