"""One engine per local model and process.

    engine = open_engine("smollm2", load(Settings), max_running=8)

Neither LangChain nor OpenVINO is imported before a model is opened, so that a program can open one
in a thread while it imports the rest.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from seedbed.engine.engine import Engine
from seedbed.errors import ConfigError
from seedbed.models.weights.catalog import Spec, find
from seedbed.models.weights.ensure import context_window, ensure
from seedbed.settings import Settings

_engines: dict[Path, Engine] = {}
_lock = threading.Lock()


def folder_of(spec: str, settings: Settings) -> Path:
    """The folder of a chat model's weights; downloads and converts them on the first call.

    Raises ConfigError for a model of another kind, WeightsError if the weights are unavailable.
    """
    model = find(spec)
    if model is not None and model.kind != "chat":
        raise ConfigError(f"{spec!r} is a model for {model.kind}, not for chat.")
    return ensure(model or spec, settings=settings)


def opens(folder: Path) -> bool:
    """Whether the folder contains weights that the engine can open: OpenVINO or GGUF files."""
    return (folder / "openvino_model.xml").exists() or any(folder.glob("*.gguf"))


def folder_to_convert(spec: str) -> Path | None:
    """The folder of a `path:` spec that the engine cannot open, such as a merged model's."""
    parts = Spec.of(spec)
    folder = Path(parts.name).expanduser()
    convert = parts.provider == "path" and folder.is_dir() and not opens(folder)
    return folder if convert else None


def open_engine(spec: str, settings: Settings, **options: Any) -> Engine | None:
    """The engine of a model; opens it, with `options` of `Engine`, unless it is open already.

    Returns None for weights that OpenVINO cannot read. Raises ConfigError or WeightsError.
    """
    folder = folder_of(spec, settings)
    if not opens(folder):
        return None
    with _lock:
        if folder not in _engines or _engines[folder].closed:
            window = context_window(find(spec), folder)
            _engines[folder] = Engine(folder, context_window=window, **options)
        return _engines[folder]


def close_engines() -> None:
    """Close the engines of this process; `open_engine` opens a model again."""
    with _lock:
        while _engines:
            _engines.popitem()[1].close()
