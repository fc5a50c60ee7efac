"""The reply to a mail: by a capable model if a person reads it first, or else from templates.

    Writer(model, "openai:gpt-4o-mini").write(Case(mail, triage, facts, decision, passages)).body

The default model, of 135 million parameters, cannot write letters. Nor does it choose what is
quoted: it picked the right one of four paragraphs for 42 of 70 questions, the search for 60.
Whether a reply is sent is up to the decision and to people.
"""

from __future__ import annotations

from typing import Any

from babel import Locale
from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, Field

from agentic_workflow.case import Draft
from agentic_workflow.reply.letter import Case, templates, write_letter
from agentic_workflow.reply.verify import bad_form, problem
from seedbed.errors import SeedbedError
from seedbed.models.prompts import as_data, load_prompt
from seedbed.models.structured_reply import structured_reply
from seedbed.observe.telemetry import UsageCallback

_STAFF_ONLY = {"warnings", "customer_id", "refunds", "refunded"}
_MAX_CHARS = 8000  # of the mail


class Reply(BaseModel):
    """What the model returns: the text, and the names of the rules that it cites."""

    body: str
    # No constant as the default: OpenAI refuses a schema that contains one.
    citations: list[str] = Field(default_factory=list)


class Writer:
    """Writes drafts with a model that can follow instructions, or without one from templates."""

    def __init__(self, model: BaseChatModel | None, spec: str = "") -> None:
        self.model, self.spec = model, spec
        self.prompt = load_prompt("agentic_workflow.reply", "reply")

    def write(self, case: Case) -> Draft:
        """The draft that carries out a decision other than "ignore".

        Templates produce what is sent without a person, and what the model cannot write. A draft
        with a `model` or `warnings` has to be read by a person.
        """
        letter = write_letter(case)
        alone = not (case.decision.approval or letter.warnings)
        # Mails handed over to a person, such as injection attempts, never reach the model.
        if self.model is None or alone or case.decision.action == "hand_over":
            return letter
        usage = UsageCallback()
        reply, refusal = self._ask(self.model, case, usage)
        changes: dict[str, Any] = {
            "prompt_version": f"{self.prompt.name}/{self.prompt.version}-{self.prompt.hash}",
            "tokens": usage.tokens,
            "cost_usd": usage.cost_usd or 0.0,
            "warnings": (*letter.warnings, f"The model's reply was refused: {refusal}."),
        }
        if reply:
            changes |= {"body": f"{reply.body.strip()}\n", "citations": tuple(reply.citations)}
            changes |= {"model": self.spec, "warnings": ()}
        return letter.model_copy(update=changes)

    def _ask(
        self, chat: BaseChatModel, case: Case, usage: UsageCallback
    ) -> tuple[Reply | None, str]:
        """(the model's reply or None, why it was refused)."""
        try:
            reply = structured_reply(
                chat,
                self._render(case),
                Reply,
                check=lambda reply: (
                    bad_form(reply.body, case.mail.language)
                    or problem(reply.body, reply.citations, case)
                ),
                config={"callbacks": [usage]},
            )
        except SeedbedError as error:
            return None, error.message.rstrip(".")
        return reply, ""

    def _render(self, case: Case) -> str:
        mail, facts = case.mail, case.facts
        text = f"Subject: {mail.subject}\n\n{mail.text}"[:_MAX_CHARS]
        return self.prompt.render(
            language=Locale(mail.language).english_name,
            closing=templates(mail.language)["closing"].replace("\n", ", "),
            decision=case.decision.model_dump_json(include={"action", "amount", "currency"}),
            facts=facts.model_dump_json(exclude=_STAFF_ONLY, exclude_defaults=True),
            passages="\n".join(f"[{p.source}] {p.text}" for p in case.passages) or "none",
            mail=as_data(text, "mail"),
        )
