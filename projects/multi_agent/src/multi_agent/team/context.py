"""What the nodes of the graph use for one run: budget, tools, models, brains, memory.

run = run_context(team, record)         # new or continued
run = run_context(team, record, RecordedCalls(team.store, record.id))       # a replay
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from multi_agent.brain import Brain
from multi_agent.graph import Run
from multi_agent.llm.brain import ModelBrain
from multi_agent.runs.budget import Budget
from multi_agent.runs.ledger import Ledger, RecordedCalls
from multi_agent.runs.record_model import RecordedModel
from multi_agent.runs.store import RunRecord, RunStore
from multi_agent.tools.toolbox import ToolBox
from seedbed.errors import ConfigError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from multi_agent.team.team import Team


def run_context(team: Team, record: RunRecord, replay: RecordedCalls | None = None) -> Run:
    """The context of the graph for a run, new or continued; with its recorded calls, a replay."""
    # 1. The budget, with what was spent before.
    ledger = replay or Ledger(team.store, record.id)
    budget = Budget(**({} if replay else record.limits.model_dump()))
    if not replay:
        budget.restore(ledger.usage())

    def emit(kind: str, step: str = "", /, **data: Any) -> None:
        if not replay:
            team.emit(record.id, kind, step, **data)

    # 2. Tools, with the decisions of the user.
    permissions = team.config.permissions
    toolbox = ToolBox(
        team.tools, ledger, permissions, budget, lambda kind, step, data: emit(kind, step, **data)
    )
    answered = team.store.events(record.id, kind="answered")
    answers = {event.data["key"]: event.data["text"] for event in answered}
    for key, text in answers.items():
        toolbox.decide(key, text)
    # 3. Models and brains, with the memory that the run started with.
    stop, memories = threading.Event(), started_with(team.store, record.id)

    def model(role: str) -> BaseChatModel | None:
        if role not in (replay.names if replay else team.models):
            return None
        chat: Any = None if replay else team.models[role]
        return RecordedModel(role=role, model=chat, ledger=ledger, budget=budget, stopped=stop)

    def brain(role: str) -> Brain:
        if chat := model(role):
            today = record.created_at.date()
            return ModelBrain(chat, team.workspace, notes=memories["notes"], today=today)
        if team.brain is None:
            raise ConfigError(f"No model for the {role}.", hint="Set SEEDBED_MODEL=openai:….")
        return team.brain

    return Run(
        workspace=team.workspace,
        specialists=team.specialists,
        toolbox=toolbox,
        budget=budget,
        emit=emit,
        brain=brain,
        model=model,
        answers=answers,
        earlier=memories["earlier"],
        max_replans=team.config.max_replans,
        asks=team.asks,
        verifies=team.verifies,
        stop=stop,
    )


def started_with(store: RunStore, run_id: str) -> dict[str, list[str]]:
    """The `notes` that a run started with, and the `earlier` tasks of its thread."""
    started = store.events(run_id, kind="run_started")
    data = started[0].data if started else {}  # its process died at once
    return {key: data.get(key, []) for key in ("notes", "earlier")}
