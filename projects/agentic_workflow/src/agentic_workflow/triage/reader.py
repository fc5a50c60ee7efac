"""A language model's reading of a mail, for the mails of which the classifier is unsure.

    reader = Reader.of(load_chat_model("path:var/model"))
    reader.read("I want my money back for A-733")    # Reading(category="refund")

Two forms of answer are understood: the schema of `Reading`, from any model, and the calls of the
help desk task of finetune_lora, from an adapter trained on it. Whether a reading is trusted is
decided in `triage`.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel

from agentic_workflow.store.case import CATEGORIES, Category
from seedbed.guardrails import reason
from seedbed.models.prompts import load_prompt
from seedbed.settings import Settings

log = logging.getLogger(__name__)
_MAX_CHARS = 4000
_TOOLS: dict[str, Category] = {  # the tools of finetune_lora's help desk, as categories of ours
    "refund_order": "refund",
    "order_status": "shipping",
    "reset_password": "account",
    "unlock_account": "account",
    "request_access": "account",
    "create_ticket": "technical",
    "none": "other",
}


class Reading(BaseModel):
    """What the model reads in a mail. The other fields are left to the rules, which do better."""

    category: Category


class Reader:
    """Asks `model`; with `system`, in the way in which an adapter was trained."""

    def __init__(self, model: BaseChatModel, system: str = "") -> None:
        self.name = str(getattr(model, "model_name", "") or type(model).__name__)
        self._model, self._system = model, system

    @classmethod
    def of(cls, model: BaseChatModel | None) -> Reader | None:
        """A reader for every model but the default one, which is too small to be of help."""
        if model is None:
            return None
        name = str(getattr(model, "model_name", ""))
        if name == Settings.model_fields["model"].default:
            return None
        return cls(model, _system_prompt(name))

    def read(self, text: str) -> Reading | None:
        """The model's reading; None if it fails or answers with anything else."""
        try:
            if self._system:
                messages = [("system", self._system), ("human", text[:_MAX_CHARS])]
                return _from_json(str(self._model.invoke(messages).text))
            prompt = load_prompt("agentic_workflow", "triage").render(mail=text[:_MAX_CHARS])
            reading = self._model.with_structured_output(Reading).invoke(prompt)
            return reading if isinstance(reading, Reading) else None
        except Exception as error:  # each vendor's client has its own; triage goes on without it
            log.warning("The model %s could not read a mail: %s", self.name, reason(error))
            return None


def _system_prompt(name: str) -> str:
    """The prompt that an adapter was trained with, from `task.json` in the folder of path:DIR."""
    kind, _, folder = name.partition(":")
    file = Path(folder, "task.json")
    if kind != "path" or not file.exists():
        return ""
    return str(json.loads(file.read_text("utf-8")).get("system") or "")


def _from_json(answer: str) -> Reading | None:
    """An adapter's answer: a help desk call, the fields of `Reading`, or just a category."""
    label = answer.strip().lower()
    if label in CATEGORIES:
        return Reading.model_validate({"category": label})
    data: Any = json.loads(answer)
    if "name" not in data:
        return Reading.model_validate(data)
    if data["name"] == "create_ticket" and data["arguments"].get("category") == "billing":
        return Reading(category="billing")
    return Reading(category=_TOOLS[data["name"]])
