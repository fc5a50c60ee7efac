"""Settings that every project shares, read from the environment (`SEEDBED_*`) and from `.env`.

    settings = load(Settings)                    # the environment wins over .env
    settings = load(Settings, model="qwen3-8b")  # an argument wins over both

A project defines a subclass of `ProjectSettings` and loads it with the same function. The
descriptions of the fields are the documentation: `make docs` writes them into `.env.example` and
the READMEs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from seedbed.errors import ConfigError

S = TypeVar("S", bound=BaseSettings)

DEFAULT_MODEL = "smollm2"


def _default_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("seedbed")


class Settings(BaseSettings):
    """The settings that are the same in every project: models, cache, API keys, logging."""

    model_config = SettingsConfigDict(
        env_prefix="SEEDBED_", env_file=".env", env_ignore_empty=True, extra="ignore"
    )

    model: str = Field(
        DEFAULT_MODEL,
        description="Chat model: a name from the catalogue, hf:ORG/REPO, path:DIR, or "
        "PROVIDER:MODEL such as openai:gpt-4o-mini. Several models, separated by commas, are "
        "tried in order. The default runs on a CPU; choose a larger one for better text.",
    )
    embeddings: str = Field(
        "minilm",
        description="Embedding model: minilm (English), multilingual-e5 (extra multilingual), "
        "hf:ORG/REPO, path:DIR or PROVIDER:MODEL. Texts embedded with another model must be "
        "embedded again.",
    )
    base_url: str | None = Field(
        None,
        description="Base URL for remote models such as openai:MODEL. Set it to use your own "
        "server instead of the vendor's, e.g. http://127.0.0.1:8000/v1.",
    )
    embeddings_url: str | None = Field(
        None,
        description="Base URL for remote embeddings, if they are not at SEEDBED_BASE_URL or the "
        "vendor's address.",
    )
    embeddings_key: SecretStr = Field(
        SecretStr(""),
        description="API key for remote embeddings, if it is not the one in the vendor's variable.",
    )
    model_timeout: float = Field(
        60.0,
        gt=0,
        description="Maximum seconds for one call of a remote model, retries and fallbacks "
        "included. Raise it for long answers of slow models.",
    )
    prices: dict[str, tuple[float, float]] = Field(
        {},
        description="Prices in USD per million input and output tokens, for models without a "
        'public list price, as JSON: {"openai:my-model": [0.5, 1.5]}.',
    )
    cache_dir: Path = Field(
        default_factory=_default_cache,
        description="Folder for downloaded and converted model weights; by default seedbed in the "
        "user's cache directory. Change it to use a larger disk or to share weights.",
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="API keys that servers accept, as comma-separated name=key or name:group=key "
        "pairs. When empty, requests need no key, and servers bind to loopback addresses only.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="Postgres database for what the replicas of a server share, "
        "postgresql://USER@HOST/NAME. Projects have a schema of their own in it, so several can "
        "share one. By default everything is in files of each project's data folder.",
    )
    requests_per_minute: int = Field(
        0,
        ge=0,
        description="Requests that each caller may send in a minute; pages that are only opened do "
        "not count. 0: no limit.",
    )
    tokens_per_day: int = Field(
        0,
        ge=0,
        description="Tokens of models that each caller may use in a day (UTC), checked when a "
        "request begins. 0: no limit.",
    )
    log_callers: Literal["hashed", "plain"] = Field(
        "hashed",
        description="How logs and traces name callers and their groups: hashed, or plain.",
    )
    open: bool = Field(
        False,
        description="Allow servers to bind to other than loopback addresses without API keys. Set "
        "it only behind a gateway that authenticates requests.",
    )
    grace: float = Field(
        30.0,
        ge=0,
        description="Seconds that running requests have to finish after SIGTERM or Ctrl-C. Keep it "
        "below what the platform allows: Cloud Run kills a container after 10 s.",
    )
    log_level: str = Field(
        "INFO",
        description="Minimum level of log messages: DEBUG, INFO, WARNING or ERROR.",
    )
    log_content: bool = Field(
        False,
        description="Also write prompts and answers to logs and traces, with personal data and "
        "secrets redacted. Meant for debugging.",
    )


class OidcSettings(BaseSettings):
    """How people sign in, by OpenID Connect. API keys keep working beside it."""

    model_config = SettingsConfigDict(
        env_prefix="SEEDBED_OIDC_", env_file=".env", env_ignore_empty=True, extra="ignore"
    )

    issuer: str = Field(
        "",
        description="URL of the sign-in provider (OpenID Connect), e.g. "
        "https://login.microsoftonline.com/TENANT/v2.0. When set, servers require sign-in or an "
        "API key.",
    )
    audience: str = Field(
        "",
        description="Client id of this application at the provider; tokens for others are refused. "
        "Further audiences, such as the name of an API at the provider, follow after commas.",
    )
    groups: str = Field(
        "groups",
        description="Claim of a token with the groups of a person; dots separate levels, as in "
        "realm_access.roles.",
    )
    name: str = Field(
        "sub",
        description="Claim that names a person. Choose one that never passes to another person.",
    )
    operators: str = Field(
        "",
        description="People who may administer servers and read their metrics: names and "
        "group:NAME, separated by commas.",
    )
    secret: SecretStr = Field(
        SecretStr(""),
        description="Client secret, if the provider requires one in addition to PKCE.",
    )
    session_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret that encrypts the session cookies of browsers; at least 32 random "
        "characters, the same for all replicas. When empty, a restart signs everyone out.",
    )
    url: str = Field(
        "",
        description="Public URL of the server, e.g. https://chat.example.com, if a proxy changes "
        "host or scheme. The provider must allow URL/auth/callback as redirect URI.",
    )
    header: str = Field(
        "",
        description="Header with the signed token of a proxy that signs people in, e.g. "
        "X-Goog-IAP-JWT-Assertion or X-Forwarded-Access-Token. Unsigned headers are never trusted.",
    )
    keys_url: str = Field(
        "",
        description="URL of the provider's keys (JWKS), for one without discovery such as Google "
        "IAP: https://www.gstatic.com/iap/verify/public_key-jwk.",
    )


class ProjectSettings(BaseSettings):
    """The base of a project's own settings; an empty variable counts as unset.

    class Config(ProjectSettings, env_prefix="MY_BOT_"):
        chunk_tokens: int = Field(256, description="Maximum length of a chunk.")
    """

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True
    )


def variable(cls: type[BaseSettings], name: str) -> str:
    """The environment variable that sets a field; of several aliases, the first.

    >>> variable(Settings, "model")
    'SEEDBED_MODEL'
    """
    alias = cls.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        alias = str(alias.choices[0])
    return str(alias or f"{cls.model_config.get('env_prefix', '')}{name}").upper()


def load(cls: type[S], **overrides: Any) -> S:
    """Read a settings class; `overrides` that are not None win over the environment and `.env`.

    Raises ConfigError, one line that names the variable, its value and the problem.
    """
    try:
        return cls(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise ConfigError(_describe(cls, error.errors()[0])) from None
    except SettingsError as error:
        raise ConfigError(f"{error}.", hint="Lists and tables are written as JSON.") from None


def _describe(cls: type[BaseSettings], error: Any) -> str:
    """One line for one of pydantic's error dictionaries; a secret's value is never part of it."""
    if not error["loc"]:  # a rule over several fields; the input contains all of them, secrets too
        return f"{cls.__name__}: {error['msg']}."
    first, *rest = map(str, error["loc"])
    name = variable(cls, first) if first in cls.model_fields else first.upper()  # or an alias
    secrets = [
        variable(cls, f) for f, i in cls.model_fields.items() if "Secret" in str(i.annotation)
    ]
    value = "" if name in secrets else f"={error['input']!r}"
    return f"{'.'.join([name, *rest])}{value}: {error['msg']}."
