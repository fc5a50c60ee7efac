"""Opens everything that a team needs, as configured: store, data, documents, tools, models.

with open_team(load(Config), load(Settings)) as team:
    ...
"""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from multi_agent.data.database import open_database
from multi_agent.runs.checkpoints import open_checkpointer
from multi_agent.runs.store import RunStore
from multi_agent.specialists import Workspace, open_specialists, specialist_names
from multi_agent.state import Limits
from multi_agent.team.team import Team
from multi_agent.tools.mcp_client import open_servers, tool_names
from multi_agent.tools.toolbox import Tool
from seedbed.errors import ConfigError
from seedbed.models.weights import catalog

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from multi_agent.brain import Brain
    from multi_agent.config import Config
    from seedbed.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")
PLANNER = "planner"
"""The role beside those of the specialists."""
OFFLINE = "offline"
"""The value in AGENTS_MODELS for a role that works by rules."""


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
    from multi_agent.documents.index import open_documents
    from multi_agent.sample.shop import ensure_shop, sample_documents
    from multi_agent.tools.builtin import builtin_tools
    from multi_agent.tools.sandbox import open_sandbox
    from seedbed.models.embeddings.load_embeddings import load_embeddings

    folder = Path(config.data_dir)
    with ExitStack() as stack:
        store = RunStore(config.database_url or folder / "runs.sqlite")
        stack.callback(store.close)
        checkpointer = stack.enter_context(open_checkpointer(config))
        database = open_database(config.database or ensure_shop(folder))
        stack.callback(database.close)
        documents = open_documents(
            config.documents or sample_documents(), load_embeddings(settings=settings)
        )
        servers = stack.enter_context(open_servers(config.mcp_servers))
        for server, problem in servers.problems.items():
            log.warning("The MCP server %s is left out: %s", server, problem)
        workspace = Workspace(config, database, documents, servers.tools)
        sandbox = once(lambda: open_sandbox(folder / "sandbox"))
        tools = builtin_tools(workspace, None if config.sandbox == "off" else sandbox)
        check_permissions(config.permissions, [*tools, *servers.tools], servers.problems)
        specialists = {one.name: one for one in open_specialists(workspace)}
        brain = open_offline_brain(workspace)
        if models is None:
            models = load_models(config, settings, [PLANNER, *specialists], needed=brain is None)
        parts = (config, workspace, tools, store, checkpointer, specialists, models)
        team = Team(*parts, brain=brain, asks=asks)
        stack.callback(team.close)
        yield team


def open_offline_brain(workspace: Workspace) -> Brain | None:
    """The brain without a model; None in a copy without the folder `offline`."""
    if importlib.util.find_spec("multi_agent.offline") is None:
        return None
    from multi_agent.offline.brain import OfflineBrain

    return OfflineBrain(workspace)


def load_models(
    config: Config, settings: Settings, roles: Sequence[str], *, needed: bool = False
) -> dict[str, BaseChatModel]:
    """The models of the roles that can follow instructions; the default model cannot.

    Raises an error with the next step if a role is unknown, if the package or the key of a model is
    missing, if the budget limits USD and the price of one is unknown, or if `needed` and a role has
    no model.
    """
    from seedbed.models.load import check_chat_model, load_chat_model, split_specs
    from seedbed.models.remote.prices import require_price

    if unknown := sorted(config.models.keys() - {PLANNER, *specialist_names()}):
        available = f"Available: {PLANNER}, {', '.join(specialist_names())}."
        raise ConfigError(f"AGENTS_MODELS: unknown role {unknown[0]!r}.", hint=available)
    specs = {role: config.models.get(role, settings.model) for role in roles}
    able = {role: spec for role, spec in specs.items() if follows_instructions(spec)}
    if needed and (lacking := [role for role in roles if role not in able]):
        raise ConfigError(
            f"No model that can follow instructions for the {lacking[0]}.",
            hint="Set SEEDBED_MODEL, e.g. openai:gpt-4o-mini.",
        )
    for spec in dict.fromkeys(able.values()):
        check_chat_model(spec, settings=settings)
        if Limits.parse(config.budget).usd is not None:
            for one in split_specs(spec):
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
    prefixes = tuple(tool_names([(server, "")])[0] for server in unavailable)
    for name in permissions:
        if name not in names and not name.startswith(prefixes):
            raise ConfigError(
                f"AGENTS_PERMISSIONS: Unknown tool {name!r}.",
                hint=f"Available tools: {', '.join(names)}.",
            )


def once(function: Callable[[], T]) -> Callable[[], T]:
    """A function that is called at most once, whichever thread asks first."""
    lock, cached = threading.Lock(), cache(function)

    def call() -> T:
        with lock:
            return cached()

    return call
