"""Providers of remote models: LangChain's integration of each, its package, and its API key.

    check_remote(Spec.of("anthropic:claude-sonnet-5"), load(Settings))    # MissingExtra …
    model = integration(Spec.of("anthropic:claude-sonnet-5"), None, {"temperature": 0})

Nothing of LangChain is imported before a model is opened.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from seedbed.errors import ConfigError, InvalidReply, MissingExtra
from seedbed.models.weights.catalog import Spec
from seedbed.safety.secrets import reason
from seedbed.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# Providers whose package or key variable does not follow from the name; "" needs no key.
_PACKAGES = {"azure_openai": "langchain_openai", "bedrock": "langchain_aws"}
_KEYS = {"google_genai": "GOOGLE_API_KEY", "mistralai": "MISTRAL_API_KEY"}
_KEYS |= {"ollama": "", "bedrock": ""}
MAX_BODY = 16_000_000  # bytes of a vendor's reply
PLAIN = {"Accept-Encoding": "identity"}


def key_variable(spec: Spec) -> str:
    """The environment variable that has the API key of a spec's provider; "" if it needs none."""
    return _KEYS.get(spec.provider, f"{spec.provider.upper()}_API_KEY")


def check_remote(spec: Spec, settings: Settings) -> None:
    """Raise MissingExtra or ConfigError, with the command to run, if every call would fail."""
    MissingExtra.check("langchain", extra="remote")
    package = _PACKAGES.get(spec.provider, f"langchain_{spec.provider}")
    if importlib.util.find_spec(package) is None:
        integration(spec, None, {})  # LangChain names the package, or the providers it supports
    key = key_variable(spec)
    if key and not settings.base_url and not os.environ.get(key):
        raise ConfigError(
            f"{key} is not set, which '{spec}' requires.",
            hint=f"Run: export {key}=…; or set SEEDBED_BASE_URL to your own server.",
        )


def integration(spec: Spec, base_url: str | None, kwargs: Mapping[str, Any]) -> BaseChatModel:
    """LangChain's model for a PROVIDER:MODEL spec. Raises MissingExtra or ConfigError."""
    try:
        from langchain.chat_models import init_chat_model
    except ImportError:
        raise MissingExtra("langchain", "remote") from None
    options = dict(kwargs)
    if base_url:
        options.setdefault("base_url", base_url)
    try:
        if spec.provider == "openai":
            return _openai(spec, options)
        if spec.provider == "anthropic":
            options = {"max_retries": 0, "default_headers": PLAIN} | options
        model: BaseChatModel = init_chat_model(spec.name, model_provider=spec.provider, **options)
        if spec.provider == "anthropic":
            _limit_replies(model)
    except ImportError as error:
        raise MissingExtra.named_in(error) from None
    except Exception as error:  # each vendor's client has its own exceptions
        raise ConfigError(
            f"Cannot load the model '{spec}': {reason(error)}",
            hint=f"Set {key_variable(spec)}, or SEEDBED_BASE_URL for your own server.",
        ) from error
    return model


def _openai(spec: Spec, options: dict[str, Any]) -> BaseChatModel:
    import openai

    from seedbed.models.remote.openai_chat import OpenAIChat

    client = openai.DefaultAsyncHttpxClient(event_hooks={"response": [limit_body]})
    defaults: dict[str, Any] = {
        "max_retries": 0,  # `RemoteChatModel` retries, within its deadline
        "use_responses_api": False,  # which other servers lack
        # Its timer between chunks loses cancellations on Python 3.11 (`asyncio.wait_for`).
        "stream_chunk_timeout": None,
        "http_async_client": client,
        "default_headers": PLAIN,
    }
    if "base_url" in options:  # your own server may need no key, but the client requires one
        defaults["api_key"] = os.environ.get("OPENAI_API_KEY") or "none"
    return OpenAIChat(model=spec.name, **(defaults | options))


def _limit_replies(model: Any) -> None:
    """Limit the size of an Anthropic model's replies; its class has no field for an HTTP client."""
    client_class = sys.modules["anthropic"].DefaultAsyncHttpxClient  # LangChain has imported it
    client = client_class(event_hooks={"response": [limit_body]})
    model.__dict__["_async_client"] = model._async_client.copy(http_client=client)  # cached


async def limit_body(response: Any) -> None:
    """Make reading a response of httpx, or httpx2, raise InvalidReply after MAX_BODY bytes.

    Otherwise an endless or highly compressed body could use up all memory. Requests must send
    PLAIN, because bytes are counted before decompression.
    """
    if response.headers.get("content-encoding", "identity") != "identity":
        raise InvalidReply("The model's server sent a compressed reply, which was not requested.")
    module = sys.modules[type(response).__module__.partition(".")[0]]
    stream = response.stream

    class Limited(module.AsyncByteStream):  # type: ignore[name-defined, misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in stream:
                size += len(part)
                if size > MAX_BODY:
                    raise InvalidReply(f"The model's reply has over {MAX_BODY:,} bytes.")
                yield part

        async def aclose(self) -> None:
            await stream.aclose()

    response.stream = Limited()
