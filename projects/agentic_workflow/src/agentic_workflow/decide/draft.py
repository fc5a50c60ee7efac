"""The reply to a mail: written by a capable model and checked, or else from templates.

    writer = Writer(load_chat_model(spec), spec)
    writer.write(mail, triage, facts, decision, passages).body

The default model, of 135 million parameters, cannot write letters. It is not asked which paragraph
to quote either: of 70 questions it chose the right one of four 42 times, the search 60 times.
Whether a reply is sent is up to the decision and to people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel

from agentic_workflow.decide.letter import reply_subject, templates, write_letter
from agentic_workflow.decide.verify import problem
from agentic_workflow.store.case import Decision, Draft, Facts, Mail, Passage, Triage
from seedbed.guardrails import reason
from seedbed.models import catalog
from seedbed.models.prompts import load_prompt
from seedbed.observe.prices import price

_LANGUAGES = {"en": "English", "de": "German", "fr": "French", "es": "Spanish"}
_MAX_CHARS = 8000  # of the mail and of each example in the prompt
_ATTEMPTS = 2  # the second one with the reason why the first was refused


class Reply(BaseModel):
    """What the model returns: the text, and the names of the rules that it cites."""

    body: str
    citations: list[str] = []


class Writer:
    """Writes drafts with one chat model, or with none.

    `spec` names the model. With a model of a folder (`path:`), which is one for triage, and with
    those that the catalogue rates too weak, drafts come from templates.
    """

    def __init__(self, model: BaseChatModel | None, spec: str) -> None:
        entry = catalog.find(spec)
        capable = entry.answer_mode == "write" if entry else not spec.startswith("path:")
        self.model = model if capable else None
        self.spec = spec
        self.prompt = load_prompt("agentic_workflow.decide", "reply")

    def write(
        self,
        mail: Mail,
        triage: Triage,
        facts: Facts,
        decision: Decision,
        passages: Sequence[Passage],
        examples: Sequence[tuple[str, str]] = (),
    ) -> Draft:
        """The draft that carries out the decision; `examples` are (before, after) of corrections.

        It never fails because of the model: what a model cannot write, a template does, and
        `warnings` has the reason. For the action "ignore" the body is empty.
        """
        # 1. From templates, which also serve where the mail is left to a person.
        letter = write_letter(mail, triage, facts, decision, passages)
        if decision.action == "ignore":
            return letter.model_copy(update={"body": "", "citations": ()})
        if self.model is None or decision.action == "hand_over":
            return letter
        # 2. From the model, with one repair.
        usage, refusal, warnings = _Usage(self.spec), "", []
        for _ in range(_ATTEMPTS):
            prompt = self._render(mail, facts, decision, passages, examples, refusal)
            try:
                reply = usage.record(
                    self.model.with_structured_output(Reply, include_raw=True).invoke(prompt)
                )
                refusal = problem(reply.body, reply.citations, mail, facts, decision, passages)
            except Exception as error:  # each vendor's client has its own exceptions
                refusal = f"the model failed ({reason(error)})"
            if not refusal:
                letter = Draft(
                    subject=reply_subject(mail),
                    body=reply.body.strip() + "\n",
                    citations=tuple(dict.fromkeys(reply.citations)),
                )
                break
            warnings.append(f"A reply of the model was refused: {refusal}.")
        # 3. What it took, whichever text is used.
        return letter.model_copy(
            update={
                "model": "" if refusal else self.spec,
                "prompt_version": f"{self.prompt.name}/{self.prompt.version}-{self.prompt.hash}",
                "tokens": usage.tokens,
                "cost_usd": usage.cost_usd,
                "warnings": tuple(warnings),
            }
        )

    def _render(
        self,
        mail: Mail,
        facts: Facts,
        decision: Decision,
        passages: Sequence[Passage],
        examples: Sequence[tuple[str, str]],
        refusal: str,
    ) -> str:
        corrections = "".join(
            f"\nA person changed this reply to a similar mail:\n{before[:_MAX_CHARS]}\n"
            f"into this one:\n{after[:_MAX_CHARS]}\n"
            for before, after in examples
        )
        text = f"Subject: {mail.subject}\n\n{mail.text}"[:_MAX_CHARS]
        return self.prompt.render(
            language=_LANGUAGES[mail.language],
            closing=templates(mail.language)["closing"].replace("\n", ", "),
            decision=decision.model_dump_json(include={"action", "amount", "currency"}),
            facts=facts.model_dump_json(exclude={"warnings", "customer_id"}, exclude_defaults=True),
            passages="\n".join(f"[{p.source}] {p.text}" for p in passages) or "none",
            examples=corrections,
            mail=text.replace("MAIL>>>", "").replace("<<<MAIL", ""),
            repair=f"\nYour last reply was refused: {refusal}. Write it again." if refusal else "",
        )


class _Usage:
    """Tokens and cost of the calls for one draft."""

    def __init__(self, spec: str) -> None:
        self.prices = price(spec)
        self.tokens, self.cost_usd = 0, 0.0

    def record(self, answer: Any) -> Reply:
        """Count the call; returns the reply or raises the error of its parsing."""
        counts = answer["raw"].usage_metadata or {}
        used = counts.get("input_tokens", 0), counts.get("output_tokens", 0)
        self.tokens += sum(used)
        self.cost_usd += sum(n * p for n, p in zip(used, self.prices, strict=True)) / 1e6
        if answer["parsing_error"]:
            raise answer["parsing_error"]
        reply: Reply = answer["parsed"]
        return reply
