"""A world with real receivers, databases and workers, for the tests of the engine."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).parent / "scripted_desk.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scripted_desk", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["scripted_desk"] = module
    spec.loader.exec_module(module)
    return module


_load()
