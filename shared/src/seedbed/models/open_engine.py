"""One engine for each local model of this process, by its spec.

It imports neither LangChain nor OpenVINO until a model is opened, so that a program may open one in
a thread while it imports the rest.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from seedbed.engine.engine import Engine
from seedbed.errors import ConfigError
from seedbed.models import weights
from seedbed.models.catalog import find
from seedbed.settings import Settings

_engines: dict[Path, Engine] = {}
_lock = threading.Lock()


def is_local(spec: str) -> bool:
    """Whether a spec names weights: a catalogue name, hf:ORG/REPO or path:DIR."""
    kind, _, name = spec.partition(":")
    return find(spec) is not None or (kind == "path" and bool(name))


def folder_of(spec: str, settings: Settings) -> Path:
    """The folder of a chat model's weights, converted and verified."""
    model = find(spec)
    if model is not None and model.kind != "chat":
        raise ConfigError(f"{spec!r} is a model for {model.kind}, not for chat.")
    return weights.ensure(model or spec, settings=settings)


def opens(folder: Path) -> bool:
    """Whether OpenVINO reads the folder's weights."""
    return (folder / "openvino_model.xml").exists() or any(folder.glob("*.gguf"))


def open_engine(spec: str, settings: Settings, **options: Any) -> Engine | None:
    """The model's engine, opened with `options` of `Engine` at the first call and after a close.

    None for weights that OpenVINO doesn't read. Raises ConfigError or WeightsError.
    """
    folder = folder_of(spec, settings)
    if not opens(folder):
        return None
    with _lock:
        if folder not in _engines or _engines[folder].closed:
            window = weights.context_window(find(spec), folder)
            _engines[folder] = Engine(folder, context_window=window, **options)
        return _engines[folder]
