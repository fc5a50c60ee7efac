"""What the Seedbed projects share: models, settings, errors, servers, evaluation.

    from seedbed import load_chat_model, load_embeddings

The names that most projects need can be imported from here. They are loaded on first use, so
`import seedbed` imports only the standard library. Import everything else from its module; the
README next to `src` describes each.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedbed.engine.engine import Engine as Engine
    from seedbed.engine.generation import Sampling as Sampling
    from seedbed.errors import BadInput as BadInput
    from seedbed.errors import Busy as Busy
    from seedbed.errors import ConfigError as ConfigError
    from seedbed.errors import NotFound as NotFound
    from seedbed.errors import SeedbedError as SeedbedError
    from seedbed.errors import Unavailable as Unavailable
    from seedbed.evaluation import Figure as Figure
    from seedbed.evaluation import Report as Report
    from seedbed.evaluation import ndcg_at_k as ndcg_at_k
    from seedbed.evaluation import paired_bootstrap as paired_bootstrap
    from seedbed.guardrails import redact as redact
    from seedbed.guardrails import screen_injection as screen_injection
    from seedbed.models.chat import load_chat_model as load_chat_model
    from seedbed.models.embeddings import load_embeddings as load_embeddings
    from seedbed.models.hash_embeddings import HashEmbeddings as HashEmbeddings
    from seedbed.models.prompts import load_prompt as load_prompt
    from seedbed.models.rerank import load_reranker as load_reranker
    from seedbed.models.scripted import ScriptedChatModel as ScriptedChatModel
    from seedbed.observe.telemetry import span as span
    from seedbed.server.service import Caller as Caller
    from seedbed.server.service import create_app as create_app
    from seedbed.server.service import serve as serve
    from seedbed.settings import Settings as Settings
    from seedbed.settings import load as load

_EXPORTS = {
    "engine.engine": "Engine",
    "engine.generation": "Sampling",
    "errors": "BadInput Busy ConfigError NotFound SeedbedError Unavailable",
    "evaluation": "Figure Report ndcg_at_k paired_bootstrap",
    "guardrails": "redact screen_injection",
    "models.chat": "load_chat_model",
    "models.embeddings": "load_embeddings",
    "models.hash_embeddings": "HashEmbeddings",
    "models.prompts": "load_prompt",
    "models.rerank": "load_reranker",
    "models.scripted": "ScriptedChatModel",
    "observe.telemetry": "span",
    "server.service": "Caller create_app serve",
    "settings": "Settings load",
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names.split()}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
