"""A small model that was trained to sort mails, for those of which the classifier is not sure.

    sorter = Sorter(load_chat_model("openai:sorter"))
    sorter.category(mail)                 # "refund", or None if the model did not answer
    training_example("Parcel", "Where is it?", "shipping", "en")     # what such a model learns

A model of a hundred million parameters learns one answer by heart, so training and use must have
the same messages, which is why both are made here. Its answer never makes the desk surer.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import BaseModel

from agentic_workflow.case import Category, Language, Mail
from seedbed.errors import public_message
from seedbed.models.prompts import load_prompt
from seedbed.models.structured_reply import structured_reply

log = logging.getLogger(__name__)
SURE = 0.9
"""The classifier's probability below which the model is asked."""
_MAX_CHARS = 1500  # of a mail
_SECONDS = 10.0


class Sorted(BaseModel):
    category: Category
    language: Language


class Sorter:
    """Asks `model` for the category of a mail, for at most ten seconds."""

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model

    def category(self, mail: Mail) -> Category | None:
        """The category; None, after a warning, if the model does not answer."""
        system, user = _messages(mail.subject, mail.text)
        prompt = [SystemMessage(system["content"]), HumanMessage(user["content"])]
        try:
            reply: Sorted = structured_reply(self._model, prompt, Sorted, timeout=_SECONDS)
            return reply.category
        except Exception as error:  # each vendor's client has its own
            log.warning("The model did not sort a mail: %s", public_message(error, log))
            return None


def training_example(
    subject: str, text: str, category: Category, language: Language
) -> dict[str, Any]:
    """A line of training data: `{"messages": [system, user, assistant]}`."""
    answer = json.dumps({"category": category, "language": language})
    return {"messages": [*_messages(subject, text), {"role": "assistant", "content": answer}]}


def _messages(subject: str, text: str) -> list[dict[str, str]]:
    instruction = load_prompt("agentic_workflow.triage.offline", "sort").render()
    mail = f"{subject}\n\n{text}"[:_MAX_CHARS]
    return [{"role": "system", "content": instruction}, {"role": "user", "content": mail}]
