"""Providers of remote models: LangChain's integration of each, its package, and its credentials.

    check_remote(Spec.of("anthropic:claude-sonnet-5"), None)    # MissingExtra, ConfigError
    model = integration(Spec.of("anthropic:claude-sonnet-5"), None, {"temperature": 0})

Which variables must be set is the integration's to know: keys, a profile, a machine's identity. The
page docs/how-to/vendors.md has them for the common vendors.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from seedbed.errors import ConfigError, InvalidReply, MissingExtra
from seedbed.models.weights.catalog import Spec
from seedbed.safety.secrets import reason

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# Keys that are checked without importing the integration, which takes seconds; without a key two of
# them fail at the first call only.
_KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
}
# `RemoteChatModel` retries, within its deadline; for Google's client 1 means a single attempt.
_RETRIES = {"anthropic": 0, "groq": 0, "google_genai": 1}
_AZURE_SCOPE = "https://cognitiveservices.azure.com/.default"
MAX_BODY = 16_000_000  # bytes of a vendor's reply
PLAIN = {"Accept-Encoding": "identity"}


def check_remote(spec: Spec, base_url: str | None, api_key: str = "") -> None:
    """Raise MissingExtra or ConfigError, with the next step, if every call would fail.

    `base_url` is the address of your own server, None for the vendor's; `api_key` a key that is not
    in the vendor's variable.
    """
    MissingExtra.check("langchain", extra="remote")
    variable = _KEYS.get(spec.provider)
    if variable and importlib.util.find_spec(f"langchain_{spec.provider}"):
        if not (base_url or api_key or os.environ.get(variable)):
            raise ConfigError(
                f"{variable} is not set, which '{spec}' requires.",
                hint=f"Run: export {variable}=…; or set SEEDBED_BASE_URL to your own server.",
            )
    else:
        integration(spec, base_url, {"api_key": api_key} if api_key else {})


def key_variables(model: Any) -> str:
    """The environment variables with the keys of a LangChain model, for a message.

    >>> key_variables(None)
    'the credentials'
    """
    secrets: Mapping[str, str] = getattr(model, "lc_secrets", {})
    return " or ".join(name for name in secrets.values() if "KEY" in name) or "the credentials"


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
        if spec.provider in ("openai", "azure_openai"):
            return _openai(spec, options)
        if spec.provider in _RETRIES:
            options = {"max_retries": _RETRIES[spec.provider]} | options
        if spec.provider == "anthropic":
            options = {"default_headers": PLAIN} | options
        model: BaseChatModel = init_chat_model(spec.name, model_provider=spec.provider, **options)
        if spec.provider == "anthropic":
            _limit_replies(model)
    except ImportError as error:
        raise MissingExtra.named_in(error) from None
    except Exception as error:  # each vendor's client has its own exceptions
        raise cannot_load(spec, error) from error
    return model


def cannot_load(spec: Spec, error: Exception) -> ConfigError:
    """The error for an integration that refuses its settings, with what it says about them."""
    if isinstance(error, ValidationError):
        text = error.errors()[0]["msg"].removeprefix("Value error, ")
        error = ValueError(" ".join(text.split()))
    return ConfigError(
        f"Cannot load the model '{spec}': {reason(error)}",
        hint="The handbook's page Vendors (docs/how-to/vendors.md) lists what each vendor needs.",
    )


def _openai(spec: Spec, options: dict[str, Any]) -> BaseChatModel:
    import openai

    from seedbed.models.remote.openai_chat import AzureOpenAIChat, OpenAIChat

    client = openai.DefaultAsyncHttpxClient(event_hooks={"response": [limit_body]})
    defaults: dict[str, Any] = {
        "max_retries": 0,
        "use_responses_api": False,  # which other servers lack
        # Its timer between chunks loses cancellations on Python 3.11 (`asyncio.wait_for`).
        "stream_chunk_timeout": None,
        "http_async_client": client,
        "default_headers": PLAIN,
    }
    if spec.provider == "azure_openai":
        return AzureOpenAIChat(model=spec.name, **(defaults | azure_identity() | options))
    if "base_url" in options:  # your own server may need no key, but the client requires one
        defaults["api_key"] = os.environ.get("OPENAI_API_KEY") or "none"
    return OpenAIChat(model=spec.name, **(defaults | options))


def azure_identity() -> dict[str, Any]:
    """Entra ID as the credentials of Azure OpenAI, for LangChain; empty where a key is set.

    They are those of this machine or of who works at it, by the package azure-identity, which
    renews the tokens. Without the package LangChain says what is missing.
    """
    if os.environ.get("AZURE_OPENAI_API_KEY") or os.environ.get("AZURE_OPENAI_AD_TOKEN"):
        return {}
    try:
        from azure.identity import DefaultAzureCredential, get_bearer_token_provider
    except ImportError:
        return {}
    token = get_bearer_token_provider(DefaultAzureCredential(), _AZURE_SCOPE)

    async def token_async() -> str:
        return str(await asyncio.to_thread(token))

    return {"azure_ad_token_provider": token, "azure_ad_async_token_provider": token_async}


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
