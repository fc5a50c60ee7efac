"""LangChain's integrations behind one class.

load_remote({"openai:gpt-4o-mini": None, "openai:gpt-4o": None}, settings, {"temperature": 0})
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel

from seedbed.models.remote.chat import Candidate, RemoteChatModel
from seedbed.models.remote.providers import integration
from seedbed.settings import Settings

_OWN_FIELDS = ("callbacks", "timeout", "attempts", "cancel", "metadata", "tags")


def load_remote(
    models: Mapping[str, BaseChatModel | None], settings: Settings, kwargs: Mapping[str, Any]
) -> RemoteChatModel:
    """One model for several specs, the keys: each is called if those before it fail.

    A value is None for PROVIDER:MODEL, or the model of a spec that runs here, such as `smollm2` as
    the last resort. `timeout`, `attempts` and `cancel` become fields of the result, other `kwargs`
    those of the integrations. Raises MissingExtra or ConfigError, before any call.
    """
    own = {name: kwargs[name] for name in _OWN_FIELDS if kwargs.get(name) is not None}
    fields = {name: value for name, value in kwargs.items() if name not in _OWN_FIELDS}
    # SEEDBED_BASE_URL is one server: that of the first provider.
    remote = [spec for spec, model in models.items() if model is None]
    provider = remote[0].partition(":")[0] if remote else ""
    candidates = []
    for spec, model in models.items():
        if model is None:
            url = settings.base_url if spec.startswith(f"{provider}:") else None
            model = integration(spec, url, fields)
        candidates.append(Candidate(spec, model))
    own = {"timeout": settings.model_timeout, "profile": candidates[0].model.profile, **own}
    return RemoteChatModel(candidates=candidates, settings=settings, **own)
