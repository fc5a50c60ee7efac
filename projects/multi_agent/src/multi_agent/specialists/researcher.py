"""The researcher: short answers with verbatim quotes from the documents.

    Researcher(documents).work(Step(id="s1", specialist="researcher", task="How long …?"), context)

Without a model the answer is a span of the best passage. A capable model reads the passages and
returns an answer with a quote; a quote that is in no passage is refused, once with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from multi_agent.documents.offline_index import IndexWords
from multi_agent.documents.read import Passage
from multi_agent.documents.span import Span, answer_span
from multi_agent.specialists import Context, Workspace
from multi_agent.state import Evidence, Result, Step
from seedbed.errors import ModelError
from seedbed.models.prompts import load_prompt, quote
from seedbed.models.structured_reply import structured_reply

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from multi_agent.documents.index import DocumentIndex

PASSAGES = 8
NOT_FOUND = "The documents don't contain the answer."


class Reply(BaseModel):
    """What the model returns; an empty answer if the passages do not contain it."""

    answer: str = ""
    quote: str = ""
    source: str = ""


class Researcher:
    """Answers questions from a folder of documents."""

    name = "researcher"
    description = (
        "Answers one question from the documents (rules, manuals, policies) with a verbatim quote."
    )

    def __init__(self, documents: DocumentIndex) -> None:
        self.words = IndexWords(documents)
        self.prompt = load_prompt("multi_agent.documents", "answer")

    def bid(self, task: str) -> float:
        """The share of the task's words in the best passage, below that of a query that parses."""
        return 0.9 * self.words.coverage(task)

    def work(self, step: Step, context: Context) -> Result:
        """Search, then take the answer from the passages. Raises ToolError if the search fails."""
        question = self.words.rephrase(step.task)
        hits = context.call("search_documents", question=question, k=PASSAGES)
        passages = [hit if isinstance(hit, Passage) else Passage(**hit) for hit in hits]
        if context.model is None:
            span, problem = answer_span(question, passages, self.words.rarity), NOT_FOUND
        else:
            span, problem = self._ask(context.model, step.task, passages)
        if span is None:
            return Result(step=step.id, problem=problem)
        evidence = Evidence(kind="quote", source=span.source, text=span.quote)
        return Result(step=step.id, answer=span.answer, number=span.number, evidence=(evidence,))

    def _ask(
        self, chat: BaseChatModel, question: str, passages: list[Passage]
    ) -> tuple[Span | None, str]:
        """(the model's answer, why there is none)."""
        texts = "\n\n".join(f"[{p.place}] {p.heading}\n{p.text}" for p in passages)
        prompt = self.prompt.render(passages=quote(texts, "passages"), question=question)

        def problem(reply: Reply) -> str | None:
            if not reply.answer.strip() or _quoted(reply.quote, passages):
                return None
            return f"The quote {reply.quote[:200]!r} is in no passage."

        try:
            reply = structured_reply(chat, prompt, Reply, check=problem)
        except ModelError as error:
            return None, f"No answer with a verbatim quote: {error}"
        passage = _quoted(reply.quote, passages)
        if not reply.answer.strip() or passage is None:
            return None, NOT_FOUND
        return Span(reply.answer.strip(), reply.quote.strip(), passage.place, 1.0), ""


def _quoted(quote: str, passages: list[Passage]) -> Passage | None:
    """The passage that contains a quote verbatim, but for white space."""
    words = " ".join(quote.split())
    matches = (p for p in passages if len(words) > 3 and words in " ".join(p.text.split()))
    return next(matches, None)


def open_specialist(workspace: Workspace) -> Researcher | None:
    """The researcher, if there are documents."""
    return Researcher(workspace.documents) if workspace.documents else None
