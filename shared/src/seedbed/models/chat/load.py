"""Load any chat model by its spec.

    load_chat_model()                                # SEEDBED_MODEL
    load_chat_model("smollm2", temperature=0.7)      # on this machine
    load_chat_model("openai:gpt-4o-mini")            # a vendor's API, or SEEDBED_BASE_URL

The result is a LangChain chat model. This module only decides which class serves which spec;
`load_local`, `scripted` and LangChain's integrations do the work.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.weights.catalog import MODELS, is_local
from seedbed.safety.secrets import reason
from seedbed.settings import Settings, load

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# Providers whose package or key variable does not follow from the name. None needs no key.
_PACKAGES = {"azure_openai": "langchain_openai", "bedrock": "langchain_aws"}
_KEYS = {
    "google_genai": "GOOGLE_API_KEY",
    "mistralai": "MISTRAL_API_KEY",
    "ollama": None,
    "bedrock": None,
}


def load_chat_model(
    spec: str | None = None, *, settings: Settings | None = None, **kwargs: Any
) -> BaseChatModel:
    """Load the chat model of a spec (default: SEEDBED_MODEL); `kwargs` become its fields.

    A spec is a name from the catalogue, hf:ORG/REPO, path:DIR, scripted:FILE, or PROVIDER:MODEL for
    LangChain's integrations (openai, anthropic, ollama …; SEEDBED_BASE_URL sets the address).
    `engine_options` (`max_running` …) are passed to the Engine if the model is not loaded yet.
    Raises ConfigError, WeightsError or MissingExtra, each with the command to run next.

        model = load_chat_model("smollm2", max_tokens=100)
        model.invoke("Name three colours.").text
    """
    from seedbed.observe.telemetry import ModelTelemetry

    settings = settings or load(Settings)
    spec = spec or settings.model
    # 1. Record every call, whichever class answers it.
    telemetry = ModelTelemetry(spec, log_content=settings.log_content)
    kwargs["callbacks"] = [*(kwargs.get("callbacks") or []), telemetry]
    kind, _, name = spec.partition(":")
    # 2. A script, for tests.
    if kind == "scripted" and name:
        from seedbed.models.scripted import ScriptedChatModel

        return ScriptedChatModel.from_file(name, **kwargs)
    # 3. Weights on this machine.
    if is_local(spec):
        _check_local(spec)
        # A module of its own, so that a copy can do without it and what it imports.
        from seedbed.models.chat.load_local import load_local

        return load_local(spec, settings, kwargs)
    # 4. Anything else with a colon is PROVIDER:MODEL.
    if not name:
        raise _unknown(spec)
    return _load_remote(spec, settings, kwargs)


def check_chat_model(spec: str | None = None, *, settings: Settings | None = None) -> None:
    """Raise the error that would make every call of a model fail: a missing package or key.

    Called before a server or a worker starts. It imports none of the packages; that a local model's
    weights are available is checked when it is loaded.

    >>> check_chat_model("scripted:replies.jsonl")
    """
    settings = settings or load(Settings)
    spec = spec or settings.model
    provider, _, name = spec.partition(":")
    if is_local(spec):
        return _check_local(spec)
    if not name:
        raise _unknown(spec)
    if provider == "scripted":
        return None
    MissingExtra.check("langchain", extra="remote")
    package = _PACKAGES.get(provider, f"langchain_{provider}")
    if importlib.util.find_spec(package) is None:
        _load_remote(spec, settings, {})  # its error names the package, or the providers
    key = _KEYS.get(provider, f"{provider.upper()}_API_KEY")
    if key and not settings.base_url and not os.environ.get(key):
        raise ConfigError(
            f"{key} is not set, which {spec!r} requires.",
            hint=f"Run: export {key}=…; or set SEEDBED_BASE_URL to your own server.",
        )
    return None


def local_models() -> list[str]:
    """The names of the catalogue's chat models; none in a copy that has remote models only.

    local_models()    # ["smollm2", "phi-3.5-mini", "qwen3-8b"]
    """
    if importlib.util.find_spec("seedbed.models.chat.load_local") is None:
        return []
    return [name for name, model in MODELS.items() if model.kind == "chat"]


def _check_local(spec: str) -> None:
    if not local_models():
        raise ConfigError(
            f"This copy has remote models only; {spec!r} would run on this machine.",
            hint="Set SEEDBED_MODEL to a model behind an API, e.g. openai:gpt-4o-mini.",
        )


def _unknown(spec: str) -> ConfigError:
    local = local_models()
    names = ", ".join([*local, "hf:ORG/REPO", "path:DIR"] if local else [])
    return ConfigError(
        f"Unknown chat model {spec!r}.",
        hint=f"Available: {names and names + ', '}openai:MODEL, anthropic:MODEL …",
    )


def _load_remote(spec: str, settings: Settings, kwargs: dict[str, Any]) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError:
        raise MissingExtra("langchain", "remote") from None
    provider, _, model = spec.partition(":")
    if settings.base_url:
        kwargs.setdefault("base_url", settings.base_url)
        if provider == "openai":  # your own server may need no key, but the client requires one
            kwargs.setdefault("api_key", os.environ.get("OPENAI_API_KEY") or "none")
    try:
        chat: BaseChatModel = init_chat_model(model, model_provider=provider, **kwargs)
    except ImportError as error:
        raise MissingExtra.named_in(error) from None
    except Exception as error:  # each vendor's client has its own exceptions
        raise ConfigError(
            f"Cannot load the model {spec!r}: {reason(error)}",
            hint=f"Set {provider.upper()}_API_KEY, or SEEDBED_BASE_URL for your own server.",
        ) from error
    return chat
