"""Plumbing that the Seedbed projects share: the names most of them need, loaded when asked for.

Each name is at home in a module that `README.md` beside `src` describes; the rest of a module is
imported from there.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedbed.chat import load_chat_model as load_chat_model
    from seedbed.embeddings import load_embeddings as load_embeddings
    from seedbed.engine import Engine as Engine
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
    from seedbed.generation import Sampling as Sampling
    from seedbed.guardrails import redact as redact
    from seedbed.guardrails import screen_injection as screen_injection
    from seedbed.prompts import load_prompt as load_prompt
    from seedbed.rerank import load_reranker as load_reranker
    from seedbed.scripted import ScriptedChatModel as ScriptedChatModel
    from seedbed.service import Caller as Caller
    from seedbed.service import create_app as create_app
    from seedbed.service import serve as serve
    from seedbed.settings import Settings as Settings
    from seedbed.settings import load as load
    from seedbed.telemetry import span as span
    from seedbed.testing import HashEmbeddings as HashEmbeddings

_EXPORTS = {
    "chat": "load_chat_model",
    "embeddings": "load_embeddings",
    "engine": "Engine",
    "errors": "BadInput Busy ConfigError NotFound SeedbedError Unavailable",
    "evaluation": "Figure Report ndcg_at_k paired_bootstrap",
    "generation": "Sampling",
    "guardrails": "redact screen_injection",
    "prompts": "load_prompt",
    "rerank": "load_reranker",
    "scripted": "ScriptedChatModel",
    "service": "Caller create_app serve",
    "settings": "Settings load",
    "telemetry": "span",
    "testing": "HashEmbeddings",
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names.split()}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
