"""Load any chat model by its spec.

    load_chat_model()                                # SEEDBED_MODEL
    load_chat_model("smollm2", temperature=0.7)      # on this machine
    load_chat_model("openai:gpt-4o-mini")            # a vendor's API, or SEEDBED_BASE_URL

The result is a LangChain chat model. This module only decides which class serves which spec;
`local_chat`, `scripted` and LangChain's integrations do the work.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.chat.local import DEFAULT_MAX_TOKENS, LocalChatModel
from seedbed.models.chat.open_engine import folder_of, is_local, open_engine
from seedbed.models.weights.catalog import MODELS, find
from seedbed.safety.secrets import reason
from seedbed.settings import Settings, load

__all__ = ["LocalChatModel", "load_chat_model"]


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
        return _load_local(spec, settings, kwargs)
    # 4. Anything else with a colon is PROVIDER:MODEL.
    if not name:
        names = ", ".join(n for n, model in MODELS.items() if model.kind == "chat")
        raise ConfigError(
            f"Unknown chat model {spec!r}.",
            hint=f"Available: {names}; or hf:ORG/REPO, path:DIR, openai:MODEL, anthropic:MODEL …",
        )
    return _load_remote(spec, settings, kwargs)


def _load_local(spec: str, settings: Settings, kwargs: dict[str, Any]) -> BaseChatModel:
    engine = open_engine(spec, settings, **kwargs.pop("engine_options", {}))
    if engine is None:
        return _load_transformers(folder_of(spec, settings), kwargs)
    # Help for a model that is too small to write answers; goes with the folder `small_model`.
    if (model := find(spec)) is not None and model.answer_mode == "quote":
        from seedbed.models.small_model.help import SmallModelHelp

        kwargs = {"help": SmallModelHelp(), **kwargs}
    return LocalChatModel(engine=engine, model_name=spec, **kwargs)


def _load_transformers(folder: Path, kwargs: dict[str, Any]) -> BaseChatModel:
    try:
        from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
    except ImportError:
        raise MissingExtra("langchain-huggingface", "torch") from None
    options = {"max_new_tokens": kwargs.pop("max_tokens", None) or DEFAULT_MAX_TOKENS}
    llm = HuggingFacePipeline.from_model_id(
        str(folder), task="text-generation", pipeline_kwargs=options
    )
    return ChatHuggingFace(llm=llm, **kwargs)


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
