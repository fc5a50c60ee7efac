"""The team: one file per specialist, discovered by listing this folder.

    [specialist.name for specialist in open_specialists(workspace)]     # ['analyst', 'calculator' …

To add a specialist, add a file to this folder with a function `open_specialist(workspace)`, which
returns an object with `name`, `description` and `work`, or None where it cannot work. A planner
with a model gives it steps by its description, and it gets the model of AGENTS_MODELS for its name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from multi_agent.brain import Brain
from multi_agent.runs.state import Result, Step
from multi_agent.tools.builtin import Workspace

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = ["Context", "Specialist", "Workspace", "open_specialists", "specialist_names"]


@dataclass(frozen=True)
class Context:
    """What a specialist may use for one step. It sees nothing of the other steps but `inputs`."""

    call: Callable[..., Any]
    """Calls a tool, `context.call("query_database", sql="SELECT 1")`: within the permissions and
    the budget, and recorded, so that a resumed run does not repeat it. Raises ToolError."""
    brain: Brain
    """Proposes queries, quotes and expressions, with a model or by rules."""
    model: BaseChatModel | None = None
    """The chat model of this specialist, paid from the budget; None with the offline brain."""
    inputs: Mapping[str, Result] = field(default_factory=dict)
    """The results of the steps in `step.after`."""


class Specialist(Protocol):
    """A member of the team."""

    name: str
    description: str
    """One sentence for planners, people included: what to give to this specialist."""

    def work(self, step: Step, context: Context) -> Result:
        """Do a step; `step.task` has the answers of earlier steps filled in.

        What cannot be answered comes back as `Result.problem`, or as the brain's Refusal. Errors of
        models and tools are left to the graph.
        """


def specialist_names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def open_specialists(workspace: Workspace) -> list[Specialist]:
    """All specialists that can work with this database and these documents, by name."""
    modules = [importlib.import_module(f"{__name__}.{name}") for name in specialist_names()]
    specialists = [module.open_specialist(workspace) for module in modules]
    return [specialist for specialist in specialists if specialist is not None]
