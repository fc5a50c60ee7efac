"""Load any chat model by its spec.

    load_chat_model()                                # SEEDBED_MODEL
    load_chat_model("smollm2", temperature=0.7)      # on this machine
    load_chat_model("openai:gpt-4o-mini")            # a vendor's API, or SEEDBED_BASE_URL
    load_chat_model("openai:gpt-4o-mini,openai:gpt-4o")    # the second where the first fails
    check_chat_model()                               # before a server starts

The result is a LangChain chat model.
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seedbed.errors import ConfigError
from seedbed.models.weights.catalog import MODELS, Spec
from seedbed.settings import Settings, load

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

# Arguments that configure all candidates of a remote model, not the integration of one.
_OWN_FIELDS = (
    *("callbacks", "timeout", "max_tokens", "attempts", "first_wait", "cancel", "metadata", "tags"),
)
# By spec and address: the parameters that a model has rejected in this process.
_rejected: defaultdict[tuple[Spec, str | None], set[str]] = defaultdict(set)


def load_chat_model(
    spec: str | None = None, *, settings: Settings | None = None, **kwargs: Any
) -> BaseChatModel:
    """Load the chat model of a spec (default: SEEDBED_MODEL); `kwargs` become its fields.

    A spec is a name from the catalogue, hf:ORG/REPO, path:DIR, scripted:FILE, or PROVIDER:MODEL for
    LangChain's integrations (openai, anthropic, ollama …; SEEDBED_BASE_URL sets the address).
    Several models, separated by commas, are tried in order.
    `engine_options` (`max_running` …) are passed to the Engine if the model is not loaded yet.
    Raises ConfigError, WeightsError or MissingExtra, each with the command to run next.
    """
    from seedbed.observe.telemetry import ModelTelemetry

    settings = settings or load(Settings)
    text = spec or settings.model
    # 1. Record every call, whichever class answers it.
    telemetry = ModelTelemetry(text, log_content=settings.log_content)
    kwargs["callbacks"] = [*(kwargs.get("callbacks") or []), telemetry]
    # 2. Open what runs on this machine.
    specs = map(Spec.of, split_specs(text))
    models = {one: _load_here(one, settings, dict(kwargs)) for one in specs}
    if len(models) == 1 and (model := next(iter(models.values()))) is not None:
        return model
    # 3. Anything else is PROVIDER:MODEL.
    return _load_remote(models, settings, kwargs)


def check_chat_model(spec: str | None = None, *, settings: Settings | None = None) -> None:
    """Raise early if a package or key is missing without which every call would fail.

    Called before a server or a worker starts. OpenAI's and Anthropic's packages are not imported
    for that, others are. That a local model's weights are available is checked when it is loaded.
    """
    from seedbed.models.remote.providers import check_remote

    settings = settings or load(Settings)
    for one in map(Spec.of, split_specs(spec or settings.model)):
        if not _is_here(one):
            check_remote(one, settings.base_url)


def split_specs(spec: str) -> list[str]:
    """The specs of a model and its fallbacks; a comma inside a path does not separate two.

    >>> split_specs("openai:gpt-4o-mini, anthropic:claude-sonnet-5"), split_specs("path:a,b ")
    (['openai:gpt-4o-mini', 'anthropic:claude-sonnet-5'], ['path:a,b'])
    """
    parts = [part.strip() for part in spec.split(",")]
    return parts if all(":" in part or part in MODELS for part in parts) else [spec.strip()]


def local_models() -> list[str]:
    """The names of the catalogue's chat models; none in a copy that has remote models only."""
    if importlib.util.find_spec("seedbed.models.local.load_local") is None:
        return []
    return [name for name, model in MODELS.items() if model.kind == "chat"]


def _is_here(spec: Spec) -> bool:
    """Whether a spec names a model on this machine. ConfigError if no such model can be loaded."""
    local = local_models()
    if spec.is_local and not local:
        raise ConfigError(
            f"This copy has remote models only; '{spec}' would run on this machine.",
            hint="Set SEEDBED_MODEL to a model behind an API, e.g. openai:gpt-4o-mini.",
        )
    if not spec.is_local and not (spec.provider and spec.name):
        names = ", ".join([*local, "hf:ORG/REPO", "path:DIR"] if local else [])
        raise ConfigError(
            f"Unknown chat model '{spec}'.",
            hint=f"Available: {names and names + ', '}openai:MODEL, anthropic:MODEL …",
        )
    return spec.is_local or spec.provider == "scripted"


def _load_here(spec: Spec, settings: Settings, kwargs: dict[str, Any]) -> BaseChatModel | None:
    """The model of a spec that runs on this machine; None for one behind an API."""
    if not _is_here(spec):
        return None
    if spec.provider == "scripted":  # replies from a file, for tests
        from seedbed.models.scripted import ScriptedChatModel

        return ScriptedChatModel.from_file(spec.name, **kwargs)
    # A module of its own, so that a copy can do without it and what it imports.
    from seedbed.models.local.load_local import load_local

    return load_local(str(spec), settings, kwargs)


def _load_remote(
    models: Mapping[Spec, BaseChatModel | None], settings: Settings, kwargs: Mapping[str, Any]
) -> BaseChatModel:
    """One model for several specs, the keys: each is called if those before it fail.

    A value is None for PROVIDER:MODEL, or the model of a spec that runs here, such as `smollm2` as
    the last resort.
    """
    from seedbed.models.remote.providers import integration
    from seedbed.models.remote.remote_chat import Candidate, RemoteChatModel

    own = {name: kwargs[name] for name in _OWN_FIELDS if kwargs.get(name) is not None}
    fields = {name: value for name, value in kwargs.items() if name not in _OWN_FIELDS}
    # SEEDBED_BASE_URL is one server: that of the first provider.
    provider = next((spec.provider for spec, model in models.items() if model is None), "")
    candidates = []
    for spec, model in models.items():
        url = settings.base_url if spec.provider == provider else None
        chat = model or integration(spec, url, fields)
        candidates.append(Candidate(spec, chat, _rejected[spec, url]))
    own = {"timeout": settings.model_timeout, "profile": candidates[0].model.profile, **own}
    return RemoteChatModel(candidates=candidates, settings=settings, **own)
