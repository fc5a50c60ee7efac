"""Load any chat model by its spec.

    load_chat_model()                                # SEEDBED_MODEL
    load_chat_model("smollm2", temperature=0.7)      # on this machine
    load_chat_model("openai:gpt-4o-mini")            # a vendor's API, or SEEDBED_BASE_URL
    load_chat_model("openai:gpt-4o-mini,openai:gpt-4o")    # the second where the first fails

The result is a LangChain chat model. This module only decides which class serves which spec;
`local`, `scripted` and `remote` do the work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from seedbed.errors import ConfigError, MissingExtra
from seedbed.models.chat.local import DEFAULT_MAX_TOKENS, LocalChatModel
from seedbed.models.chat.open_engine import folder_of, is_local, open_engine
from seedbed.models.weights.catalog import MODELS, find
from seedbed.settings import Settings, load

__all__ = ["LocalChatModel", "load_chat_model"]


def load_chat_model(
    spec: str | None = None, *, settings: Settings | None = None, **kwargs: Any
) -> BaseChatModel:
    """Load the chat model of a spec (default: SEEDBED_MODEL); `kwargs` become its fields.

    A spec is a name from the catalogue, hf:ORG/REPO, path:DIR, scripted:FILE, or PROVIDER:MODEL for
    LangChain's integrations (openai, anthropic, ollama …; SEEDBED_BASE_URL sets the address). Of
    several, separated by commas, each is called where those before it fail.
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
    # 2. Open what runs on this machine.
    specs = split_specs(spec)
    models = {one: _load_here(one, settings, kwargs) for one in specs}
    if len(specs) == 1 and (model := models[spec]) is not None:
        return model
    # 3. Anything else is PROVIDER:MODEL.
    for one, model in models.items():
        if model is None and not one.partition(":")[2]:
            names = ", ".join(n for n, model in MODELS.items() if model.kind == "chat")
            raise ConfigError(
                f"Unknown chat model {one!r}.",
                hint=f"Available: {names}; or hf:ORG/REPO, path:DIR, openai:MODEL, "
                "anthropic:MODEL …",
            )
    from seedbed.models.remote.load import load_remote

    return load_remote(models, settings, kwargs)


def split_specs(spec: str) -> list[str]:
    """The specs of a model and its fallbacks; a comma inside a path does not separate two.

    >>> split_specs("openai:gpt-4o-mini, anthropic:claude-sonnet-5"), split_specs("path:a,b")
    (['openai:gpt-4o-mini', 'anthropic:claude-sonnet-5'], ['path:a,b'])
    """
    parts = [part.strip() for part in spec.split(",")]
    return parts if all(":" in part or part in MODELS for part in parts) else [spec]


def _load_here(spec: str, settings: Settings, kwargs: dict[str, Any]) -> BaseChatModel | None:
    """The model of a spec that runs on this machine; None for one behind an API."""
    kind, _, name = spec.partition(":")
    if kind == "scripted" and name:  # replies from a file, for tests
        from seedbed.models.scripted import ScriptedChatModel

        return ScriptedChatModel.from_file(name, **kwargs)
    return _load_local(spec, settings, dict(kwargs)) if is_local(spec) else None


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
