"""A language model's reading of a mail, for the mails of which the classifier is unsure.

    reader = find_reader(load_chat_model("path:var/model"))
    reader.read("I want my money back for A-733")    # "refund"

Two forms of answer are understood: a category under a schema, from any model, and the calls of a
fine-tuned help desk model, whose prompt is in its `task.json`. All other fields are left to the
rules, which do better, and which no mail can talk into anything.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel

from agentic_workflow.store.case import CATEGORIES, Category
from seedbed.models.prompts import load_prompt, quote
from seedbed.models.structured_reply import structured_reply
from seedbed.safety.secrets import reason
from seedbed.settings import Settings

log = logging.getLogger(__name__)
_MAX_CHARS = 4000
_TOOLS: dict[str, Category] = {  # tools of the fine-tuned help desk, and our categories
    "refund_order": "refund",
    "order_status": "shipping",
    "reset_password": "account",
    "unlock_account": "account",
    "request_access": "account",
    "create_ticket": "technical",
    "none": "other",
}


class Reading(BaseModel):
    """The schema of an answer."""

    category: Category


class Reader:
    """Asks `model`; with `system`, in the way in which an adapter was trained."""

    def __init__(self, model: BaseChatModel, system: str = "") -> None:
        self.name = str(getattr(model, "model_name", "") or type(model).__name__)
        self._model, self._system = model, system

    def read(self, text: str) -> Category | None:
        """The category of a mail; None if the model fails or answers with anything else."""
        text = text[:_MAX_CHARS]
        try:
            if self._system:
                answer = self._model.invoke([("system", self._system), ("human", text)])
                return _from_answer(answer.text.strip())
            prompt = load_prompt("agentic_workflow", "triage").render(mail=quote(text, "mail"))
            return structured_reply(self._model, prompt, Reading).category
        except Exception as error:  # each vendor's client has its own; triage goes on without it
            log.warning("The model %s could not read a mail: %s", self.name, reason(error))
            return None


def find_reader(model: BaseChatModel | None) -> Reader | None:
    """A reader for every model but the default one: of 54 unsure mails that had 10 right."""
    name = str(getattr(model, "model_name", ""))
    if model is None or name == Settings.model_fields["model"].default:
        return None
    # A fine-tuned model, path:DIR, has the prompt that it was trained with.
    task = Path(name.removeprefix("path:"), "task.json")
    adapter = name.startswith("path:") and task.exists()
    system = json.loads(task.read_text("utf-8")).get("system") if adapter else ""
    return Reader(model, system or "")


def _from_answer(answer: str) -> Category:
    """A help desk call, {"category": …}, or just a category."""
    if answer in CATEGORIES:
        return Reading.model_validate({"category": answer}).category
    data = json.loads(answer)
    if "name" not in data:
        return Reading.model_validate(data).category
    if data["name"] == "create_ticket" and data["arguments"].get("category") == "billing":
        return "billing"
    return _TOOLS[data["name"]]
