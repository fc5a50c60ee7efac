"""Parts that a copy of the service may lack: delete the folder, and its line in the list.

    for endpoint in load(PROTOCOLS, "ENDPOINT"):
        ...

A folder that is listed but was deleted is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

PROTOCOLS = (
    "llm_service.protocol.messages",
    "llm_service.protocol.responses",
)
"""Endpoints beside chat and embeddings. Each has an `ENDPOINT`, a `protocol.endpoint.Endpoint`."""
BACKENDS = {
    "openai": "llm_service.models.remote.openai",
    "anthropic": "llm_service.models.remote.anthropic",
}
"""Kinds of upstreams, by the name in the models file. Each has a `BACKEND`, an `Upstream`."""
COMMANDS = (
    "llm_service.on_ray",  # Ray Serve
)
"""Further verbs of the command line. Each has an `add_to(app)`."""


def is_available(module: str) -> bool:
    """Whether the module is part of this copy; nothing is imported but its parents.

    >>> is_available("llm_service.request"), is_available("llm_service.absent")
    (True, False)
    """
    return find_spec(module) is not None


def load(modules: Sequence[str], attribute: str) -> Iterator[Any]:
    """The `attribute` of each module that is part of this copy."""
    for module in modules:
        if is_available(module):
            yield getattr(import_module(module), attribute)
