"""Opens everything that a team needs, as configured: store, data, documents, tools, models.

with open_team(load(Config), load(Settings)) as team:
    ...
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from multi_agent.data.database import open_database
from multi_agent.runs.checkpoints import open_checkpointer, open_memory
from multi_agent.runs.state import Limits
from multi_agent.runs.store import RunStore
from multi_agent.specialists import Workspace, open_specialists, specialist_names
from multi_agent.team.team import Team
from multi_agent.tools.mcp_client import open_servers, tool_name
from multi_agent.tools.memory import memory_tools
from multi_agent.tools.own import TOOLS
from multi_agent.tools.toolbox import Tool
from seedbed.errors import ConfigError
from seedbed.models.weights import catalog

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from multi_agent.config import Config
    from seedbed.settings import Settings

log = logging.getLogger(__name__)
PLANNER = "planner"  # its role
OFFLINE = "offline"  # the value in AGENTS_MODELS for a role that works by rules


@contextmanager
def open_team(
    config: Config,
    settings: Settings,
    models: Mapping[str, BaseChatModel] | None = None,
    *,
    asks: bool = True,
) -> Iterator[Team]:
    """Open everything that a team needs, as configured; `models` by role replace those of settings.

    Raises ConfigError, NotFound, Unavailable, MissingExtra or WeightsError.
    """
    from multi_agent.data.document_index import DocumentIndex
    from multi_agent.tools.builtin import builtin_tools
    from seedbed.models.embeddings.load_embeddings import load_embeddings

    with ExitStack() as stack:
        # 1. The databases of runs and checkpoints.
        store = RunStore(config.database_url or config.data_dir / "runs.sqlite")
        stack.callback(store.close)
        checkpointer = stack.enter_context(open_checkpointer(config))
        # 2. The data, and the tools of the operator.
        shop = optional_module("multi_agent.sample.shop")
        path = config.database or (shop and shop.ensure_shop(config.data_dir))
        if path is None:
            raise ConfigError("There is no database.", hint="Set AGENTS_DATABASE.")
        database = stack.enter_context(open_database(path))
        folder, documents = config.documents or (shop and shop.DOCUMENTS), None
        if folder:
            documents = DocumentIndex(folder, load_embeddings(settings=settings))
        server_tools, problems = open_servers(config.mcp_servers)
        for server, problem in problems.items():
            log.warning("MCP server %s: %s", server, problem)
        if models is None:
            models = load_models(config, settings)
        memory = stack.enter_context(open_memory(config)) if models else None
        own = [*TOOLS, *server_tools, *(memory_tools(memory) if memory else ())]
        workspace = Workspace(config, database, documents, own)
        tools = builtin_tools(workspace)
        check_permissions(config.permissions, [*tools, *own], problems)
        # 3. The specialists, the brain without a model, and the team.
        specialists = {one.name: one for one in open_specialists(workspace)}
        rules = optional_module("multi_agent.offline.brain")
        brain = rules.OfflineBrain(workspace) if rules else None
        parts = (config, workspace, tools, store, checkpointer, specialists, models)
        team = Team(*parts, brain=brain, memory=memory, asks=asks)
        stack.callback(team.close)
        yield team


def optional_module(name: str) -> Any:
    """A module in a folder that may have been deleted; None if it is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


def load_models(config: Config, settings: Settings) -> dict[str, BaseChatModel]:
    """Chat models by role. Roles whose model cannot follow instructions are left out.

    Raises an error with the next step if a role is unknown, if the package or the key of a model is
    missing, if the budget limits USD and the price of a model is unknown, or if a role has no model
    in a copy without the folder `offline`.
    """
    from seedbed.models.load import check_chat_model, load_chat_model, split_specs
    from seedbed.models.remote.prices import require_price

    roles = [PLANNER, *specialist_names()]
    if unknown := sorted(config.models.keys() - set(roles)):
        available = f"Available: {', '.join(roles)}."
        raise ConfigError(f"AGENTS_MODELS: unknown role {unknown[0]!r}.", hint=available)
    specs = {role: config.models.get(role, settings.model) for role in roles}
    able = {role: spec for role, spec in specs.items() if follows_instructions(spec)}
    if len(able) < len(roles) and optional_module("multi_agent.offline.brain") is None:
        missing = next(role for role in roles if role not in able)
        hint = "Set SEEDBED_MODEL, e.g. openai:gpt-4o-mini."
        raise ConfigError(f"No model that can follow instructions for the {missing}.", hint=hint)
    limits_usd = Limits.parse(config.budget).usd is not None
    for spec in dict.fromkeys(able.values()):
        check_chat_model(spec, settings=settings)
        for one in split_specs(spec) if limits_usd else ():
            require_price(one, settings)
    return {role: load_chat_model(spec, settings=settings) for role, spec in able.items()}


def follows_instructions(spec: str) -> bool:
    """Whether a model can plan and write; small ones and those trained for one job cannot.

    >>> follows_instructions("smollm2"), follows_instructions("openai:gpt-4o-mini")
    (False, True)
    """
    if spec == OFFLINE:
        return False
    entry = catalog.find(spec)
    return entry.answer_mode == "write" if entry else not spec.startswith("path:")


def check_permissions(
    permissions: Mapping[str, str], tools: Iterable[Tool], unavailable: Iterable[str]
) -> None:
    """Raise ConfigError for a permission of an unknown tool, which would protect nothing.

    Tools of an MCP server that is `unavailable` cannot be known.

    >>> check_permissions({"docs__delete": "deny"}, [], unavailable=["docs"])
    """
    names = sorted(tool.name for tool in tools)
    prefixes = tuple(tool_name(server, "") for server in unavailable)
    for name in permissions:
        if name not in names and not name.startswith(prefixes):
            hint = f"Available tools: {', '.join(names)}."
            raise ConfigError(f"AGENTS_PERMISSIONS: Unknown tool {name!r}.", hint=hint)
