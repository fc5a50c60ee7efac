"""The tables of a file of models as pydantic models, each checked by itself."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    model_validator,
)

from seedbed.models.local.open_engine import folder_to_convert
from seedbed.models.remote.prices import Price, price
from seedbed.models.remote.providers import check_remote
from seedbed.models.weights import catalog
from seedbed.models.weights.catalog import Spec

# Kinds that are recognized by their own characters. A passport number, say, is recognized by a
# label only, which may be far in front of it, in another piece of a long text.
PiiKind = Literal["email", "phone", "iban", "card", "ip", "secret"]
_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}"
_LOCAL_TIMEOUT = 600.0
Vendor = Literal["anthropic", "google_genai", "mistralai", "bedrock"]  # as LangChain calls them
VENDORS = get_args(Vendor)
_REQUEST_FIELDS = {"model", "messages", "prompt", "input", "stream", "stream_options"}


def _http_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or parts.query or parts.fragment or parts.username:
        raise ValueError('expected the URL of an API, such as "http://127.0.0.1:8000/v1"')
    return url.rstrip("/")


def _as_target(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _only_parameters(params: dict[str, Any]) -> dict[str, Any]:
    if wrong := sorted(_REQUEST_FIELDS & set(params)):
        raise ValueError(
            f"{wrong[0]!r} is set by each request and cannot have a default; remove it"
        )
    try:
        json.dumps(params, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError(
            "only JSON values are allowed: strings, numbers, booleans, arrays and tables"
        ) from None
    return params


def _existing(path: Path, info: ValidationInfo) -> Path:
    """The path, counted from the folder of the file that names it."""
    path = (info.context or Path()) / path.expanduser()
    if not path.is_file():
        raise ValueError(f"file not found: {path}")
    return path


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Name = Annotated[str, Field(pattern=f"^{_NAME}$")]
Weight = Annotated[float, Field(gt=0)]
ExistingFile = Annotated[Path, AfterValidator(_existing)]
Address = Annotated[str, AfterValidator(_http_address)]
Parameters = Annotated[dict[str, Any], AfterValidator(_only_parameters)]


class ModelEntry(Strict):
    """A table `[models.NAME]`: one model and the backend that runs it."""

    name: Name
    """Name that clients send as `model`; taken from the table header."""
    backend: Literal["local", "openai", Vendor]
    """local runs the model on this machine; openai forwards to an API of that protocol; the others
    are vendors whose LangChain package (langchain-anthropic …) must be installed."""
    kind: Literal["chat", "embedding"] = "chat"
    """What the model is used for. Known for models of the catalogue."""
    spec: str = ""
    """Local models: catalogue name, hf:ORG/REPO@REV or path:DIR. Default: the name."""
    base_url: Address = ""
    """Upstreams: base URL of the API, e.g. "http://127.0.0.1:8000/v1". Default: the
    vendor's; openai needs one."""
    model: str = ""
    """Upstreams: the model's name there. Default: the name."""
    api_key_env: str = ""
    """Upstreams: environment variable that contains the API key. Default: no key is sent to openai,
    and a vendor's own variable is read, e.g. ANTHROPIC_API_KEY."""
    price_in: float | None = Field(None, ge=0)
    """USD per million input tokens. Default: the catalogue's price."""
    price_out: float | None = Field(None, ge=0)
    """USD per million output tokens. Default: the catalogue's price."""
    timeout: float = Field(60.0, gt=0)
    """Seconds to the first event of an answer (to the end of one that is not streamed), and between
    two reads from an upstream. Default: 60, or 600 for a local model, whose queue can be long. Less
    where it would leave a route's other targets no time: at most half of what is left until
    SERVICE_TIMEOUT."""
    context_window: int = Field(0, ge=0)
    """Maximum tokens of prompt and answer together; 0 if unknown. Usage that an upstream reports
    above it is replaced by an estimate."""
    preload: bool = False
    """Local models: load at startup, as the default model always does, not at the first request."""
    defaults: Parameters = {}
    """Request parameters used where a request does not set them, e.g. temperature."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        entry = dict(fields)
        name, backend = entry.get("name", ""), entry.get("backend")
        if backend == "local":
            spec = entry.setdefault("spec", name)
            entry.setdefault("timeout", _LOCAL_TIMEOUT)
            catalogued = catalog.find(spec) if isinstance(spec, str) else None
            if catalogued is not None and catalogued.kind in ("chat", "embedding"):
                entry.setdefault("kind", catalogued.kind)
                entry.setdefault("context_window", catalogued.context_window)
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
                    raise ValueError(f"{name}: only allowed for upstreams")
            self._check_folder()
            return self
        for name in ("spec", "preload"):
            if name in self.model_fields_set:
                raise ValueError(f'{name}: only allowed with backend = "local"')
        if self.api_key_env and not os.environ.get(self.api_key_env):
            raise ValueError(
                f"api_key_env: the environment variable {self.api_key_env} is not set; "
                f"export {self.api_key_env}=…"
            )
        if self.backend == "openai":
            if not self.base_url:
                raise ValueError('base_url: required; add base_url = "http://…/v1"')
        elif self.kind != "chat":
            raise ValueError('kind: only backend = "openai" supports embeddings; use kind = "chat"')
        else:
            check_remote(Spec(self.backend, self.model), self.base_url or None, self.api_key)
        return self

    def _check_folder(self) -> None:
        """Reject a folder of safetensors, such as a merged model, before the service starts."""
        folder = folder_to_convert(self.spec)
        if self.kind == "chat" and folder:
            raise ValueError(
                f"spec: {folder} contains no OpenVINO or GGUF files; export the model with "
                "`--to openvino` and use the folder that this writes"
            )

    @property
    def api_key(self) -> str:
        """The upstream's key as the environment has it now; "" for none."""
        return os.environ.get(self.api_key_env, "") if self.api_key_env else ""

    @property
    def _list_price(self) -> Price | None:
        return price(self.spec if self.backend == "local" else f"{self.backend}:{self.model}")

    @property
    def is_priced(self) -> bool:
        """Whether the cost of an answer is known, which a budget in USD requires."""
        return self._list_price is not None or None not in (self.price_in, self.price_out)

    @property
    def prices(self) -> tuple[float, float]:
        """USD per million tokens, read and written; 0 where the price is unknown."""
        listed = self._list_price or Price(0.0, 0.0)
        return (
            listed[0] if self.price_in is None else self.price_in,
            listed[1] if self.price_out is None else self.price_out,
        )


class Target(Strict):
    """One model of a route."""

    model: Name
    """Name of the model."""
    weight: Weight = 1.0
    """Share of the traffic, relative to the other targets."""


class Route(Strict):
    """A table `[routes.NAME]`: a name that distributes requests over several models."""

    name: Name
    """Name that clients send as `model`; taken from the table header."""
    targets: tuple[Annotated[Target, BeforeValidator(_as_target)], ...] = Field(min_length=1)
    """Models to choose from. With equal weights a prompt goes to the target that has cached its
    prefix; otherwise the weights decide."""
    fallback: tuple[Name, ...] = ()
    """Models tried in this order after all retries have failed."""
    retries: int = Field(2, ge=0, le=10)
    """Further attempts among the targets after the first one failed."""

    @property
    def models(self) -> list[str]:
        """The targets, then the fallbacks."""
        return [*(target.model for target in self.targets), *self.fallback]


class Guardrails(Strict):
    """The table `[guardrails]`. All of them are disabled by default."""

    pii_in: Literal["off", "redact", "block"] = "off"
    """Personal data and secrets in prompts: redact replaces them, block rejects the request."""
    pii_out: Literal["off", "redact", "block"] = "off"
    """The same for answers, which are then sent once they are complete."""
    pii_kinds: tuple[PiiKind, ...] = ("email", "phone", "iban", "card", "ip", "secret")
    """Kinds of personal data to look for. Default: all of them."""
    injection: Literal["off", "flag", "block"] = "off"
    """Prompt injections: flag only adds the header x-guardrails, block rejects the request."""
    blocked_terms: tuple[str, ...] = ()
    """Terms that are not allowed in prompts or answers."""
    blocked_terms_file: ExistingFile | None = None
    """File with further blocked terms, one per line."""
    max_tokens: int | None = Field(None, ge=1)
    """Maximum tokens of an answer; used as the default where a request sets none."""


class Variant(Strict):
    """One arm of an experiment: another model, a prompt file, or other parameters."""

    name: Name
    """Name of the variant in reports."""
    weight: Weight = 1.0
    """Share of the users, relative to the other variants."""
    model: Name | None = None
    """Model or route to use instead of the experiment's."""
    prompt: ExistingFile | None = None
    """File with the system prompt; its first line is `version: N`."""
    params: Parameters = {}
    """Request parameters to set, e.g. temperature."""


class Experiment(Strict):
    """A table `[experiments.NAME]`: compares variants. A user always gets the same one."""

    name: Name
    """Name of the experiment in reports; taken from the table header."""
    model: Name
    """Model or route whose requests take part."""
    variants: tuple[Variant, ...] = Field(min_length=1)
    """The variants to compare."""

    @model_validator(mode="after")
    def _distinct(self) -> Experiment:
        names = [variant.name for variant in self.variants]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(
                f"variants: duplicate name {twice!r}; each variant needs a unique name"
            )
        return self


class CacheRules(Strict):
    """The table `[cache]`. Its size and lifetime are SERVICE_CACHE_MB and SERVICE_CACHE_SECONDS."""

    shared: bool = False
    """Share cached answers between API keys. By default each key only gets its own."""
