"""What a file of models may say: its tables as pydantic models, each checked by itself.

How names lead to each other is the business of `models`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from seedbed.models import catalog
from seedbed.observe.prices import price

PiiKind = Literal["email", "phone", "iban", "card", "ip", "secret"]
_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}"
_LOCAL_TIMEOUT = 600.0
_REQUEST_FIELDS = {"model", "messages", "prompt", "input", "stream", "stream_options"}


def _http_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or parts.query or parts.fragment or parts.username:
        raise ValueError('write the address of its API, such as "http://127.0.0.1:8000/v1"')
    return url.rstrip("/")


def _as_target(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _only_parameters(params: dict[str, Any]) -> dict[str, Any]:
    if wrong := sorted(_REQUEST_FIELDS & set(params)):
        raise ValueError(f"{wrong[0]!r} comes with each request; leave it out here")
    try:
        json.dumps(params, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("only what JSON can say: text, numbers, true, lists, tables") from None
    return params


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Name = Annotated[str, Field(pattern=f"^{_NAME}$")]
Weight = Annotated[float, Field(gt=0)]
Address = Annotated[str, AfterValidator(_http_address)]
Parameters = Annotated[dict[str, Any], AfterValidator(_only_parameters)]


class ModelEntry(Strict):
    """One model. Prices are USD per million tokens (None in the file: the catalogue's).

    `timeout` is how many seconds may pass to the first event of an answer (the whole of one that
    is not streamed), and between two reads of an upstream: 60, or 600 for a local model, whose
    queue may be long.
    """

    name: Name
    backend: Literal["local", "openai", "anthropic"]
    kind: Literal["chat", "embedding"] = "chat"
    spec: str = ""
    base_url: Address = ""
    model: str = ""
    api_key_env: str = ""
    price_in: float | None = Field(None, ge=0)
    price_out: float | None = Field(None, ge=0)
    timeout: float = Field(60.0, gt=0)
    context_window: int = Field(0, ge=0)
    replicas: int = Field(1, ge=1, le=64)
    preload: bool = False
    defaults: Parameters = {}

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        entry = dict(given)
        name, backend = entry.get("name", ""), entry.get("backend")
        if backend == "local":
            spec = entry.setdefault("spec", name)
            entry.setdefault("timeout", _LOCAL_TIMEOUT)
            known = catalog.find(spec) if isinstance(spec, str) else None
            if known is not None and known.kind in ("chat", "embedding"):
                entry.setdefault("kind", known.kind)
                entry.setdefault("context_window", known.context_window)
            if entry.get("kind", "chat") == "chat" and isinstance(entry.get("defaults", {}), dict):
                # Small models answer best with their likeliest tokens.
                entry["defaults"] = {"temperature": 0, **entry.get("defaults", {})}
        elif isinstance(backend, str):
            entry.setdefault("model", name)
        return entry

    @model_validator(mode="after")
    def _belongs_together(self) -> ModelEntry:
        if self.backend == "local":
            for name in ("base_url", "model", "api_key_env"):
                if name in self.model_fields_set:
                    raise ValueError(f'{name}: only for backend = "openai" or "anthropic"')
            return self
        for name in ("spec", "preload", "replicas"):
            if name in self.model_fields_set:
                raise ValueError(f'{name}: only for backend = "local"')
        if not self.base_url:
            raise ValueError('base_url: missing; write base_url = "http://…/v1"')
        if self.backend == "anthropic" and self.kind != "chat":
            raise ValueError('kind: Anthropic has no embeddings; write kind = "chat"')
        if self.api_key_env and not os.environ.get(self.api_key_env):
            raise ValueError(
                f"api_key_env: the environment variable {self.api_key_env} is not set; "
                f"export {self.api_key_env}=…"
            )
        return self

    @property
    def api_key(self) -> str:
        """The upstream's key as the environment has it now; "" for none."""
        return os.environ.get(self.api_key_env, "") if self.api_key_env else ""

    @property
    def prices(self) -> tuple[float, float]:
        """USD per million tokens, read and written."""
        spec = self.spec if self.backend == "local" else f"{self.backend}:{self.model}"
        listed = price(spec)
        return (
            listed[0] if self.price_in is None else self.price_in,
            listed[1] if self.price_out is None else self.price_out,
        )


class Target(Strict):
    model: Name
    weight: Weight = 1.0


class Route(Strict):
    """Where requests for `name` go. With equal weights a prompt goes to the target that has seen
    its beginning; otherwise the weights decide. `retries` are further tries among the targets,
    after which each model of `fallback` is tried in order.
    """

    name: Name
    targets: tuple[Annotated[Target, BeforeValidator(_as_target)], ...] = Field(min_length=1)
    fallback: tuple[Name, ...] = ()
    retries: int = Field(2, ge=0, le=10)
    hedge_seconds: float = Field(0.0, ge=0)


class Guardrails(Strict):
    """What is screened; all of it is off unless the file says otherwise."""

    pii_in: Literal["off", "redact", "block"] = "off"
    pii_out: Literal["off", "redact", "block"] = "off"
    pii_kinds: tuple[PiiKind, ...] = ("email", "phone", "iban", "card", "ip", "secret")
    injection: Literal["off", "flag", "block"] = "off"
    blocked_terms: tuple[str, ...] = ()
    blocked_terms_file: Path | None = None
    max_prompt_chars: int | None = Field(None, ge=1)
    max_messages: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_list(self) -> Guardrails:
        if self.blocked_terms and self.blocked_terms_file:
            raise ValueError("blocked_terms: also in blocked_terms_file; keep one of them")
        return self


class Variant(Strict):
    """One arm of an experiment: another model, a prompt file, or other parameters."""

    name: Name
    weight: Weight = 1.0
    model: Name | None = None
    prompt: Path | None = None
    params: Parameters = {}


class Experiment(Strict):
    name: Name
    model: Name
    variants: tuple[Variant, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Experiment:
        names = [variant.name for variant in self.variants]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"variants: two are called {twice!r}; give each its own name")
        return self


class CacheRules(Strict):
    shared: bool = False
    semantic: bool = False
    threshold: float = Field(0.95, gt=0, le=1)
