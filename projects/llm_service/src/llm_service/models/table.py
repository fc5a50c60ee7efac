"""The table of models: what is served, under which names, at what price, by which rules.

It reads one TOML file and checks all of it, so that a table which exists can be used as it is; a
reload makes a new table and leaves the old one alone. Backends are created in `pool`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from llm_service.models import models_file
from llm_service.models.entry import (
    CacheRules,
    Experiment,
    Guardrails,
    ModelEntry,
    Name,
    Route,
    Strict,
    Target,
)
from llm_service.models.models_file import Broken
from seedbed.errors import BadInput, ConfigError, NotFound
from seedbed.settings import Settings


def no_model(name: str, hint: str) -> NotFound:
    """NotFound with OpenAI's code `model_not_found`."""
    error = NotFound(f"Unknown model {name[:100]!r}.", hint=hint)
    error.details |= {"param": "model", "code": "model_not_found"}
    return error


class _File(Strict):
    default: Name | None = None
    models: dict[Name, ModelEntry] = Field(min_length=1)
    routes: dict[Name, Route] = Field(default_factory=dict)
    guardrails: Guardrails = Guardrails()
    experiments: dict[Name, Experiment] = Field(default_factory=dict)
    cache: CacheRules = CacheRules()


@dataclass(frozen=True)
class Table:
    """Everything of one file, with every name in it resolved; it never changes."""

    models: Mapping[str, ModelEntry]
    default: str
    routes: Mapping[str, Route] = field(default_factory=dict)
    guardrails: Guardrails = field(default_factory=Guardrails)
    experiments: Mapping[str, Experiment] = field(default_factory=dict)
    cache: CacheRules = field(default_factory=CacheRules)
    _resolved: Mapping[str, Route] = field(default_factory=dict, repr=False)
    _prices: Mapping[str, tuple[float, float]] = field(default_factory=dict, repr=False)
    unpriced: frozenset[str] = field(default=frozenset(), repr=False)
    """Models of unknown cost, looked up once: prices come from settings and a list."""

    @classmethod
    def load(cls, path: Path | None, settings: Settings) -> Table:
        """The table of a file, or without one the models of SEEDBED_MODEL and SEEDBED_EMBEDDINGS.

        Raises ConfigError, one line with file, table, field and value.
        """
        if path is None:
            chat = models_file.entry_of("chat", settings)
            models = {chat.name: chat}
            embedding = models_file.entry_of("embedding", settings)
            models.setdefault(embedding.name, embedding)
            return _linked(_File(models=models, default=chat.name))
        try:
            return _linked(_File.model_validate(models_file.read(path), context=path.parent))
        except ValidationError as error:
            line = models_file.describe(error.errors()[0])
            raise ConfigError(f"{path}: {line}") from None
        except Broken as error:
            raise ConfigError(f"{path}: {error}") from None

    def resolve(self, name: str, kind: Literal["chat", "embedding"] | None = None) -> Route:
        """The route behind the name of a model or route.

        Raises NotFound, which lists the names there are, and BadInput where the model is of the
        other kind.
        """
        route = self._resolved.get(name)
        if route is None:
            available = ", ".join(self.names())
            raise no_model(name, hint=f"Available models: {available}.")
        if kind is not None and self.models[route.targets[0].model].kind != kind:
            use = "/v1/embeddings" if kind == "chat" else "/v1/chat/completions"
            wrong = BadInput(f"Model {name!r} cannot be used here.", hint=f"Use it with {use}.")
            wrong.details |= {"param": "model", "code": "invalid_value"}
            raise wrong
        return route

    def names(self) -> list[str]:
        """Every name that can be requested: models and routes, in the file's order."""
        return list(dict.fromkeys([*self.models, *self.routes]))

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


def _linked(file: _File) -> Table:
    """The table with every name followed to what it stands for. Raises Broken."""
    models, routes = file.models, file.routes
    for name, route in routes.items():
        targets = [target.model for target in route.targets]
        for where, names in (("targets", targets), ("fallback", route.fallback)):
            for model in names:
                _require(model, f"[routes.{name}] {where}", models, routes)
                if model not in models:
                    raise Broken(
                        f"[routes.{name}] {where}={model!r}: must be a model, not a route."
                    )
        _check_route(name, targets, route.fallback, models)
    for name, experiment in file.experiments.items():
        for model in (experiment.model, *(v.model for v in experiment.variants if v.model)):
            _require(model, f"[experiments.{name}] model", models, routes)
    default = file.default or next(
        (m.name for m in models.values() if m.kind == "chat"), next(iter(models))
    )
    _require(default, "default", models, routes)
    alone = {name: Route(name=name, targets=(Target(model=name),)) for name in models}
    return Table(
        models=models,
        default=default,
        routes=routes,
        guardrails=file.guardrails,
        experiments=file.experiments,
        cache=file.cache,
        _resolved={**alone, **routes},
        _prices={name: entry.prices for name, entry in models.items()},
        unpriced=frozenset(name for name, entry in models.items() if not entry.is_priced),
    )


def _require(
    name: str, where: str, models: Mapping[str, ModelEntry], routes: Mapping[str, Route]
) -> None:
    if name not in models and name not in routes:
        available = ", ".join([*models, *routes])
        raise Broken(f"{where}={name!r}: unknown model. Available models: {available}.")


def _check_route(
    name: str, targets: list[str], fallback: tuple[str, ...], models: Mapping[str, ModelEntry]
) -> None:
    every = [*targets, *fallback]
    if twice := next((model for model in every if every.count(model) > 1), None):
        raise Broken(f"[routes.{name}] targets, fallback: duplicate model {twice!r}.")
    if len({models[model].kind for model in every}) > 1:
        kinds = ", ".join(f"{model} is {models[model].kind}" for model in every)
        raise Broken(f"[routes.{name}] targets, fallback: models of different kinds: {kinds}.")
