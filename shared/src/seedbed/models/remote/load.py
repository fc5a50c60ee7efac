"""LangChain's integrations behind one class.

load_remote({"openai:gpt-4o-mini": None, "openai:gpt-4o": None}, settings, {"temperature": 0})
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.remote.chat import Candidate, RemoteChatModel
from seedbed.models.remote.providers import key_variable, package
from seedbed.safety.secrets import reason
from seedbed.settings import Settings

_OWN_FIELDS = ("callbacks", "timeout", "attempts", "metadata", "tags")


def load_remote(
    models: Mapping[str, BaseChatModel | None], settings: Settings, kwargs: Mapping[str, Any]
) -> RemoteChatModel:
    """One model for several specs, the keys: each is called if those before it fail.

    A value is None for PROVIDER:MODEL, or the model of a spec that runs here, such as `smollm2` as
    the last resort. `timeout` and `attempts` are fields of the result, other `kwargs` of the
    integrations. Raises MissingExtra or ConfigError, before any call.
    """
    own = {name: kwargs[name] for name in _OWN_FIELDS if kwargs.get(name) is not None}
    fields = {name: value for name, value in kwargs.items() if name not in _OWN_FIELDS}
    # SEEDBED_BASE_URL is one server: that of the first provider.
    provider = next(spec for spec, model in models.items() if model is None).partition(":")[0]
    candidates = []
    for spec, model in models.items():
        if model is None:
            url = settings.base_url if spec.startswith(f"{provider}:") else None
            model = integration(spec, url, fields)
        candidates.append(Candidate(spec, model))
    own = {"timeout": settings.model_timeout, "profile": candidates[0].model.profile, **own}
    return RemoteChatModel(candidates=candidates, **own)


def integration(spec: str, base_url: str | None, kwargs: Mapping[str, Any]) -> BaseChatModel:
    """LangChain's model for one PROVIDER:MODEL spec. Raises MissingExtra or ConfigError."""
    try:
        from langchain.chat_models import init_chat_model
    except ImportError:
        raise MissingExtra("langchain", "remote") from None
    provider, _, name = spec.partition(":")
    options = dict(kwargs)
    if base_url:
        options.setdefault("base_url", base_url)
    if provider in ("openai", "anthropic"):
        options.setdefault("max_retries", 0)  # `RemoteChatModel` retries, within its deadline
    if provider == "openai":
        options.setdefault("use_responses_api", False)  # which other servers lack
        # Its timer between chunks loses cancellations on Python 3.11 (`asyncio.wait_for`).
        options.setdefault("stream_chunk_timeout", None)
        if base_url:  # your own server may need no key, but the client requires one
            options.setdefault("api_key", os.environ.get("OPENAI_API_KEY") or "none")
    try:
        model: BaseChatModel = init_chat_model(name, model_provider=provider, **options)
    except ImportError as error:
        raise MissingExtra.named_in(error) from None
    except Exception as error:  # each vendor's client has its own exceptions
        raise ConfigError(
            f"Cannot load the model {spec!r}: {reason(error)}",
            hint=f"Set {key_variable(spec)}, or SEEDBED_BASE_URL for your own server.",
        ) from error
    return model


def check_remote(spec: str, settings: Settings) -> None:
    """Raise MissingExtra or ConfigError, with the line to type, if each call would fail."""
    MissingExtra.check("langchain", extra="remote")
    if importlib.util.find_spec(package(spec)) is None:
        integration(spec, None, {})  # LangChain names the package, or the providers it supports
    key = key_variable(spec)
    if key and not settings.base_url and not os.environ.get(key):
        raise ConfigError(
            f"{key} is not set, which {spec!r} requires.",
            hint=f"Run: export {key}=…; or set SEEDBED_BASE_URL to your own server.",
        )
