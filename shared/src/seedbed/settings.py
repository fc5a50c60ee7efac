"""Settings that every project shares, read from the environment (`SEEDBED_*`) and from `.env`.

A project has a settings class of its own beside this one; `load` reads either and turns a wrong
value into one line that names the variable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from seedbed.errors import ConfigError

S = TypeVar("S", bound=BaseSettings)


def _default_cache() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("seedbed")


class Settings(BaseSettings):
    """What is the same in every project: models, folders, what is logged, who may call."""

    model_config = SettingsConfigDict(env_prefix="SEEDBED_", env_file=".env", extra="ignore")

    model: str = Field("smollm2", description="Chat model: a catalogue name or any model spec.")
    embeddings: str = Field("minilm", description="Embedding model: a catalogue name or spec.")
    base_url: str | None = Field(
        None, description="An OpenAI-compatible server that answers in place of the vendor's."
    )
    cache_dir: Path = Field(
        default_factory=_default_cache, description="Where converted and downloaded weights live."
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="Who may call a server: `name=key` pairs, separated by commas. Empty: anyone.",
    )
    open: bool = Field(
        False, description="Serve beyond this machine without an API key. Only behind a gateway."
    )
    log_level: str = Field("INFO", description="Lowest level that is logged.")
    log_content: bool = Field(
        False, description="Also log prompts and answers, with personal data redacted."
    )


def variable(cls: type[BaseSettings], name: str) -> str:
    """The environment variable of a field, e.g. `SEEDBED_MODEL`."""
    alias = cls.model_fields[name].validation_alias
    if isinstance(alias, AliasChoices):
        alias = str(alias.choices[0])
    return str(alias or f"{cls.model_config.get('env_prefix', '')}{name}").upper()


def load(cls: type[S], **overrides: Any) -> S:
    """Read a settings class; `overrides` that are not None win over the environment.

    Raises ConfigError with one line naming the variable, its value and what is wrong with it.
    """
    try:
        return cls(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise ConfigError(_wrong(cls, error.errors()[0])) from None
    except SettingsError as error:
        raise ConfigError(f"{error}.", hint="Lists and tables are written as JSON.") from None


def _wrong(cls: type[BaseSettings], found: Any) -> str:
    if not found["loc"]:  # several fields together; the input holds all of them, secrets too
        return f"{cls.__name__}: {found['msg']}."
    first, *rest = map(str, found["loc"])
    field = cls.model_fields.get(first)
    name = variable(cls, first) if field else first.upper()  # an alias stands for itself
    secret = field is not None and "Secret" in str(field.annotation)
    value = "" if secret else f"={found['input']!r}"
    return f"{'.'.join([name, *rest])}{value}: {found['msg']}."
