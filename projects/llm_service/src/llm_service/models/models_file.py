"""Reads the TOML file of models, and describes in one line what is wrong in it."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from llm_service.models.entry import VENDORS, ModelEntry
from seedbed.errors import ConfigError
from seedbed.models.weights import catalog
from seedbed.safety.secrets import redact_secrets
from seedbed.settings import Settings

# Where a spec of SEEDBED_MODEL leads if SEEDBED_BASE_URL is not set: backend, address, key.
_PROVIDERS = {
    "openai": ("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    "ollama": ("openai", "http://127.0.0.1:11434/v1", ""),
    **{vendor: (vendor, "", "") for vendor in VENDORS},
}
_NAMED = ("models", "routes", "experiments")  # tables of tables
_TABLES = ("guardrails", "cache")


class Broken(ValueError):
    """Something in the file that a field's type cannot tell; the text lacks the file's name."""


def read(path: Path) -> dict[str, Any]:
    """The file's tables with each entry's name in it.

    Raises ConfigError for a file that cannot be read, Broken for names and keys.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}.",
            hint="Check --models or SERVICE_MODELS.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: invalid TOML: {error}.") from None
    for table in _NAMED:
        if isinstance(entries := raw.get(table), dict):
            raw[table] = {name: _entry(table, name, entries[name]) for name in entries}
    return raw


def _entry(table: str, name: str, entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    if "name" in entry:
        raise Broken(
            f"[{table}.{name}] name: the name is taken from the table header; remove this field."
        )
    if "api_key" in entry:
        raise Broken(
            f"[{table}.{name}] api_key: keys must not be stored in this file; use "
            'api_key_env = "MY_KEY" and export MY_KEY=…'
        )
    return {**entry, "name": name}


def describe(error: Any) -> str:
    """One of pydantic's errors as `[table.name] field=value: problem`."""
    loc = [str(part) for part in error["loc"] if part != "[key]"]
    depth = 2 if loc and loc[0] in _NAMED else 1 if loc and loc[0] in _TABLES else 0
    table = f"[{'.'.join(loc[:depth])}] " if depth and len(loc) >= depth else ""
    name, message = ".".join(loc[depth:] if table else loc), error["msg"]
    if error["type"] == "extra_forbidden":
        message = "unknown field"
    elif name and error["type"] != "missing" and "[key]" not in error["loc"]:
        value = redact_secrets(repr(error["input"]))
        name += f"={value if len(value) <= 80 else f'{value[:80]}…'}"
    return f"{table}{name}{': ' if name else ''}{message.removeprefix('Value error, ')}."


def entry_of(kind: Literal["chat", "embedding"], settings: Settings) -> ModelEntry:
    """The entry of SEEDBED_MODEL or SEEDBED_EMBEDDINGS. Raises ConfigError."""
    spec = settings.model if kind == "chat" else settings.embeddings
    setting = f"{'SEEDBED_MODEL' if kind == 'chat' else 'SEEDBED_EMBEDDINGS'}={spec!r}"
    scheme, _, rest = spec.partition(":")
    fields: dict[str, Any] = {"kind": kind}
    if spec in catalog.MODELS:
        fields = {"name": spec, "backend": "local", "spec": spec}
    elif scheme in ("hf", "path", "scripted") and rest:
        fields |= {"name": Path(rest).name, "backend": "local", "spec": spec}
    elif rest and (scheme in _PROVIDERS or settings.base_url):
        backend, address, variable = _PROVIDERS.get(scheme, ("openai", "", ""))
        fields |= {"name": rest, "backend": backend, "model": rest}
        if url := settings.base_url or address:
            fields["base_url"] = url
        # A server of one's own may want no key.
        if variable and (not settings.base_url or os.environ.get(variable)):
            fields["api_key_env"] = variable
    else:
        raise ConfigError(
            f"{setting}: unknown model.",
            hint="Use a name from the catalogue, hf:ORG/REPO, path:DIR, openai:MODEL or "
            "anthropic:MODEL.",
        )
    try:
        return ModelEntry(**fields)
    except ValidationError as error:
        raise ConfigError(f"{setting}: {describe(error.errors()[0])}") from None
