"""Reading the TOML file of models, and saying in one line what is wrong in it.

The meaning of the fields is in `entry`; this words the errors and their places.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from llm_service.models.entry import VENDORS
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
_EXAMPLES = {
    "backend": 'Set backend = "local" or "openai".',
    "models": 'Add a table [models.NAME] with backend = "local".',
    "targets": 'Set targets = ["NAME"].',
    "variants": 'Set variants = [{ name = "a" }, { name = "b" }].',
}


class Broken(ValueError):
    """Something in the file that a field's type cannot tell; the text lacks the file's name."""


def read(path: Path) -> dict[str, Any]:
    """The file's tables with each entry's name in it, and paths counted from the file's folder.

    Raises ConfigError for a file that cannot be read, Broken for names and paths.
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
    for where, entry, name in _paths(raw):
        entry[name] = _file(f"{where} {name}", entry[name], path.parent)
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


def _paths(raw: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each entry that names a file: where it stands, itself, and the field."""
    rules = raw.get("guardrails")
    if isinstance(rules, dict) and isinstance(rules.get("blocked_terms_file"), str):
        yield "[guardrails]", rules, "blocked_terms_file"
    experiments = raw.get("experiments")
    for name, experiment in experiments.items() if isinstance(experiments, dict) else ():
        variants = experiment.get("variants") if isinstance(experiment, dict) else None
        for variant in variants if isinstance(variants, list) else ():
            if isinstance(variant, dict) and isinstance(variant.get("prompt"), str):
                yield f"[experiments.{name}]", variant, "prompt"


def _file(where: str, value: str, folder: Path) -> Path:
    path = folder / Path(value).expanduser()
    if "\0" in value or not path.is_file():
        raise Broken(f"{where}={value!r}: file not found: {path}.")
    return path


def describe(finding: Any, classes: Mapping[str, tuple[type[BaseModel], type[BaseModel]]]) -> str:
    """One of pydantic's findings as `[table.name] field=value: what is wrong`.

    `classes` holds for each table the class of its fields and that of the entries of its list.
    """
    loc = [str(part) for part in finding["loc"] if part != "[key]"]
    tables = [*_NAMED, "guardrails", "cache"]
    depth = 0
    if len(loc) > 1 and loc[0] in tables:
        depth = 2 if loc[0] in _NAMED else 1
    elif finding["type"] == "value_error" and loc:
        depth = 1  # said of the table as a whole
    table = f"[{'.'.join(loc[:depth])}] " if depth else ""
    name = ".".join(loc[depth:])
    message = finding["msg"].removeprefix("Value error, ")
    if finding["type"] == "string_pattern_mismatch" or "[key]" in finding["loc"]:
        return f"{table}{name or 'name'}: invalid name; use only letters, digits and ._:/@+-."
    if finding["type"] == "extra_forbidden":
        outer, inner = classes[loc[0] if len(loc) > 1 else ""]
        fields = (inner if len(loc) > depth + 1 else outer).model_fields
        names = [n for n in fields if n != "name" or len(loc) > depth + 1]
        return f"{table}{name}: unknown field. Available fields: {', '.join(names)}."
    if finding["type"] == "missing":
        example = _EXAMPLES.get(loc[-1], f'Set {loc[-1]} = "…".')
        return f"{table}{name}: required field is missing. {example}"
    if not name:
        return f"{table}{message}."
    value = finding["input"]
    return f"{table}{name}{'' if value is None else f'={_short(value)}'}: {message}."


def _short(value: Any) -> str:
    text = redact_secrets(repr(value))
    return text if len(text) <= 80 else f"{text[:80]}…"


def setting_of(kind: Literal["chat", "embedding"], settings: Settings) -> str:
    """The setting that names the model of a kind, with its value, for an error."""
    if kind == "chat":
        return f"SEEDBED_MODEL={settings.model!r}"
    return f"SEEDBED_EMBEDDINGS={settings.embeddings!r}"


def entry_of(kind: Literal["chat", "embedding"], settings: Settings) -> dict[str, Any]:
    """The fields of an entry for the model spec of a setting. Raises ConfigError for no spec."""
    spec = settings.model if kind == "chat" else settings.embeddings
    scheme, _, rest = spec.partition(":")
    entry_fields: dict[str, Any] = {"kind": kind}
    if spec in catalog.MODELS:
        return {"name": spec, "backend": "local", "spec": spec}
    if scheme in ("hf", "path", "scripted") and rest:
        return entry_fields | {"name": Path(rest).name, "backend": "local", "spec": spec}
    if rest and (scheme in _PROVIDERS or settings.base_url):
        backend, address, variable = _PROVIDERS.get(scheme, ("openai", "", ""))
        entry_fields |= {"name": rest, "backend": backend, "model": rest}
        if url := settings.base_url or address:
            entry_fields["base_url"] = url
        # A server of one's own may want no key.
        if variable and (not settings.base_url or os.environ.get(variable)):
            entry_fields["api_key_env"] = variable
        return entry_fields
    raise ConfigError(
        f"{setting_of(kind, settings)}: unknown model.",
        hint="Use a name from the catalogue, hf:ORG/REPO, path:DIR, openai:MODEL or "
        "anthropic:MODEL.",
    )
