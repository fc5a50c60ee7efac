"""Load a chat model whose weights are on this machine or on the hub.

    load_local("smollm2", load(Settings), {"temperature": 0.7})

`load.py` imports this module for a local spec only. A project that was copied out of the repository
with BRAIN=llm has neither it nor what only it imports: the engine, grammars, small models.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from seedbed.errors import MissingExtra
from seedbed.models.local.local_chat import DEFAULT_MAX_TOKENS, LocalChatModel
from seedbed.models.local.open_engine import folder_of, open_engine
from seedbed.models.weights.catalog import find
from seedbed.settings import Settings


def load_local(spec: str, settings: Settings, kwargs: dict[str, Any]) -> BaseChatModel:
    """The model of a local spec; `kwargs` become its fields.

    It runs in the engine, or in transformers if OpenVINO cannot read its weights.
    """
    engine = open_engine(spec, settings, **kwargs.pop("engine_options", {}))
    if engine is None:
        return _load_transformers(folder_of(spec, settings), kwargs)
    if _has_learned_schema(engine.model_dir):
        kwargs = {"describe_schema": False, **kwargs}
    # Help for a model that is too small to write answers; delete it along with `small_model.py`.
    if (model := find(spec)) is not None and model.answer_mode == "quote":
        from seedbed.models.local.small_model import SmallModelHelp

        kwargs = {"help": SmallModelHelp(), **kwargs}
    return LocalChatModel(engine=engine, model_name=spec, **kwargs)


def _has_learned_schema(folder: Path) -> bool:
    """Whether a model was fine-tuned to follow a schema; `task.json` in its folder then has it.

    Its training prompts did not describe the schema. If a prompt does, such a model adds fields
    that are not in the request: of 130 requests, it answered 87 correctly instead of 96.
    """
    try:
        about = json.loads((folder / "task.json").read_text("utf-8"))
    except (OSError, ValueError):  # most models have none
        return False
    return isinstance(about, dict) and bool(about.get("schema"))


def _load_transformers(folder: Path, kwargs: dict[str, Any]) -> BaseChatModel:
    try:
        from langchain_huggingface import ChatHuggingFace, HuggingFacePipeline
    except ImportError:
        raise MissingExtra("langchain-huggingface", "torch") from None
    options = {"max_new_tokens": kwargs.pop("max_tokens", None) or DEFAULT_MAX_TOKENS}
    llm = HuggingFacePipeline.from_model_id(
        str(folder), task="text-generation", pipeline_kwargs=options
    )
    return ChatHuggingFace(llm=llm, **kwargs)
