"""The table of models: what is served, under which names, at what price, by which rules.

It reads one TOML file and checks all of it, so that a table which exists can be used as it is; a
reload makes a new table and leaves the old one alone. It knows nothing of the backends that answer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from llm_service import models_file
from llm_service.models_file import Broken
from seedbed import catalog
from seedbed.errors import BadInput, ConfigError, NotFound
from seedbed.settings import Settings

PiiKind = Literal["email", "phone", "iban", "card", "ip", "secret"]
_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}"
_LOCAL_TIMEOUT = 600.0
_REQUEST_FIELDS = {"model", "messages", "prompt", "input", "stream", "stream_options"}


def no_model(name: str, hint: str) -> NotFound:
    """The error that OpenAI's clients know a wrong `model` by."""
    error = NotFound(f"No model {name[:100]!r}.", hint=hint)
    error.details |= {"param": "model", "code": "model_not_found"}
    return error


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


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Name = Annotated[str, Field(pattern=f"^{_NAME}$")]
Weight = Annotated[float, Field(gt=0)]
Address = Annotated[str, AfterValidator(_http_address)]


class ModelEntry(_Strict):
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
    defaults: dict[str, Any] = {}

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

    @field_validator("defaults")
    @classmethod
    def _only_parameters(cls, defaults: dict[str, Any]) -> dict[str, Any]:
        if wrong := sorted(_REQUEST_FIELDS & set(defaults)):
            raise ValueError(f"{wrong[0]!r} comes with each request; leave it out here")
        try:
            json.dumps(defaults, allow_nan=False)
        except (TypeError, ValueError):
            raise ValueError("only what JSON can say: text, numbers, true, lists, tables") from None
        return defaults

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
        listed = catalog.price(spec)
        return (
            listed[0] if self.price_in is None else self.price_in,
            listed[1] if self.price_out is None else self.price_out,
        )


class Target(_Strict):
    model: Name
    weight: Weight = 1.0


class Route(_Strict):
    """Where requests for `name` go. With equal weights a prompt goes to the target that has seen
    its beginning; otherwise the weights decide. `retries` are further tries among the targets,
    after which each model of `fallback` is tried in order.
    """

    name: Name
    targets: tuple[Annotated[Target, BeforeValidator(_as_target)], ...] = Field(min_length=1)
    fallback: tuple[Name, ...] = ()
    retries: int = Field(2, ge=0, le=10)
    hedge_seconds: float = Field(0.0, ge=0)


class Guardrails(_Strict):
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


class Variant(_Strict):
    """One arm of an experiment: another model, a prompt file, or other parameters."""

    name: Name
    weight: Weight = 1.0
    model: Name | None = None
    prompt: Path | None = None
    params: dict[str, Any] = {}

    _parameters = field_validator("params")(ModelEntry._only_parameters.__func__)


class Experiment(_Strict):
    name: Name
    model: Name
    variants: tuple[Variant, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Experiment:
        names = [variant.name for variant in self.variants]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"variants: two are called {twice!r}; give each its own name")
        return self


class CacheRules(_Strict):
    shared: bool = False
    semantic: bool = False
    threshold: float = Field(0.95, gt=0, le=1)


class _File(_Strict):
    default: Name | None = None
    models: dict[Name, ModelEntry] = Field(min_length=1)
    aliases: dict[Name, Name] = {}
    routes: dict[Name, Route] = {}
    guardrails: Guardrails = Guardrails()
    experiments: dict[Name, Experiment] = {}
    cache: CacheRules = CacheRules()


@dataclass(frozen=True)
class Table:
    """Everything of one file, with every name in it resolved; it never changes."""

    models: Mapping[str, ModelEntry]
    default: str
    routes: Mapping[str, Route] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    guardrails: Guardrails = field(default_factory=Guardrails)
    experiments: Mapping[str, Experiment] = field(default_factory=dict)
    cache: CacheRules = field(default_factory=CacheRules)
    _resolved: Mapping[str, Route] = field(default_factory=dict, repr=False)
    _prices: Mapping[str, tuple[float, float]] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, path: Path | None, settings: Settings) -> Table:
        """The table of a file, or without one the models of SEEDBED_MODEL and SEEDBED_EMBEDDINGS.

        Raises ConfigError, one line with file, table, field and value.
        """
        if path is None:
            chat = _entry_of("chat", settings)
            models = {chat.name: chat}
            embedding = _entry_of("embedding", settings)
            models.setdefault(embedding.name, embedding)
            return _linked(_File(models=models, default=chat.name))
        try:
            return _linked(_File.model_validate(models_file.read(path)))
        except ValidationError as error:
            line = models_file.describe(error.errors()[0], _CLASSES)
            raise ConfigError(f"{path}: {line}") from None
        except Broken as error:
            raise ConfigError(f"{path}: {error}") from None

    def resolve(self, name: str, kind: Literal["chat", "embedding"] | None = None) -> Route:
        """The route behind the name of a model, route or alias.

        Raises NotFound, which lists the names there are, and BadInput where the model is of the
        other kind.
        """
        route = self._resolved.get(name)
        if route is None:
            there = ", ".join(self.names())
            raise no_model(name, hint=f"There are: {there}.")
        if kind is not None and self.models[route.targets[0].model].kind != kind:
            use = "/v1/embeddings" if kind == "chat" else "/v1/chat/completions"
            wrong = BadInput(f"{name!r} is not a model for this.", hint=f"It answers {use}.")
            wrong.details |= {"param": "model", "code": "invalid_value"}
            raise wrong
        return route

    def names(self) -> list[str]:
        """Every name that can be asked for: models, routes and aliases, in the file's order."""
        return list(dict.fromkeys([*self.models, *self.routes, *self.aliases]))

    def kind(self, name: str) -> str:
        """Whether a name answers "chat" or "embedding"."""
        return self.models[self.resolve(name).targets[0].model].kind

    @property
    def default_embedding(self) -> str | None:
        return next((m.name for m in self.models.values() if m.kind == "embedding"), None)

    def cost(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        """USD for the tokens of a model of the table; 0 for a name that is none."""
        price_in, price_out = self._prices.get(model, (0.0, 0.0))
        return (price_in * prompt_tokens + price_out * completion_tokens) / 1e6


_CLASSES: dict[str, tuple[type[BaseModel], type[BaseModel]]] = {
    # each table's fields, and those of the entries of its list
    "": (_File, _File),
    "models": (ModelEntry, ModelEntry),
    "routes": (Route, Target),
    "experiments": (Experiment, Variant),
    "guardrails": (Guardrails, Guardrails),
    "cache": (CacheRules, CacheRules),
}


def _entry_of(kind: Literal["chat", "embedding"], settings: Settings) -> ModelEntry:
    """The entry of SEEDBED_MODEL or SEEDBED_EMBEDDINGS."""
    given = models_file.entry_of(kind, settings)
    try:
        return ModelEntry(**given)
    except ValidationError as error:
        line = models_file.describe(error.errors()[0], _CLASSES)
        raise ConfigError(f"{models_file.setting_of(kind, settings)}: {line}") from None


def _linked(file: _File) -> Table:
    """The table with every name followed to what it stands for. Raises Broken."""
    models, routes = file.models, dict(file.routes)
    for alias in file.aliases:
        if alias in models or alias in routes:
            raise Broken(f"[aliases] {alias}: there is a model or route of this name already.")

    def follow(name: str, where: str, *, into_routes: bool) -> str:
        seen = [name]
        while name not in models and name not in routes:
            if name not in file.aliases:
                there = ", ".join([*models, *routes, *file.aliases])
                raise Broken(f"{where}={name!r}: no such model. There are: {there}.")
            name = file.aliases[name]
            if name in seen:
                raise Broken(f"{where}: goes in a circle: {' → '.join([*seen, name])}.")
            seen.append(name)
        if not into_routes and name not in models:
            raise Broken(f"{where}={name!r}: is a route; name a model here.")
        return name

    resolved = {name: Route(name=name, targets=(Target(model=name),)) for name in models}
    for name, route in routes.items():
        targets = tuple(
            target.model_copy(
                update={
                    "model": follow(target.model, f"[routes.{name}] targets", into_routes=False)
                }
            )
            for target in route.targets
        )
        fallback = tuple(
            follow(model, f"[routes.{name}] fallback", into_routes=False)
            for model in route.fallback
        )
        _check_route(name, [target.model for target in targets], fallback, models)
        routes[name] = resolved[name] = route.model_copy(
            update={"targets": targets, "fallback": fallback}
        )
    for alias, name in file.aliases.items():
        resolved[alias] = resolved[follow(name, f"[aliases] {alias}", into_routes=True)]
    for name, experiment in file.experiments.items():
        for model in (experiment.model, *(v.model for v in experiment.variants if v.model)):
            follow(model, f"[experiments.{name}] model", into_routes=True)
    default = file.default or next(
        (m.name for m in models.values() if m.kind == "chat"), next(iter(models))
    )
    follow(default, "default", into_routes=True)
    return Table(
        models=models,
        default=default,
        routes=routes,
        aliases=file.aliases,
        guardrails=file.guardrails,
        experiments=file.experiments,
        cache=file.cache,
        _resolved=resolved,
        _prices={name: entry.prices for name, entry in models.items()},
    )


def _check_route(
    name: str, targets: list[str], fallback: tuple[str, ...], models: Mapping[str, ModelEntry]
) -> None:
    every = [*targets, *fallback]
    if twice := next((model for model in every if every.count(model) > 1), None):
        raise Broken(f"[routes.{name}] targets, fallback={twice!r}: named twice; keep one.")
    if len({models[model].kind for model in every}) > 1:
        kinds = ", ".join(f"{model} is for {models[model].kind}" for model in every)
        raise Broken(f"[routes.{name}] targets, fallback: must be of one kind; {kinds}.")
