"""Providers of remote models: LangChain's integration of each, its package, and its API key.

    check_remote("anthropic:claude-sonnet-5", load(Settings))    # MissingExtra, or ConfigError
    model = integration("anthropic:claude-sonnet-5", None, {"temperature": 0})

Nothing of LangChain is imported before a model is opened.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seedbed.errors import ConfigError, MissingExtra
from seedbed.safety.secrets import reason
from seedbed.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# Providers whose package or key variable does not follow from the name; "" needs no key.
_PACKAGES = {"azure_openai": "langchain_openai", "bedrock": "langchain_aws"}
_KEYS = {
    "google_genai": "GOOGLE_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "ollama": "",
    "bedrock": "",
}


def key_variable(spec: str) -> str:
    """The environment variable that has the API key of a spec's provider; "" if it needs none.

    >>> key_variable("openai:gpt-4o-mini"), key_variable("google_genai:gemini-2.5-flash")
    ('OPENAI_API_KEY', 'GOOGLE_API_KEY')
    """
    provider = spec.partition(":")[0]
    return _KEYS.get(provider, f"{provider.upper()}_API_KEY")


def package(spec: str) -> str:
    """The Python package of LangChain's integration for a spec's provider.

    >>> package("anthropic:claude-sonnet-5")
    'langchain_anthropic'
    """
    provider = spec.partition(":")[0]
    return _PACKAGES.get(provider, f"langchain_{provider}")


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
