"""The researcher: short answers with verbatim quotes from the documents.

Researcher(documents).work(Step(id="s1", specialist="researcher", task="How long …?"), context)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multi_agent.data.passages import Passage
from multi_agent.runs.state import Evidence, Result, Step
from multi_agent.specialists import Context, Workspace
from multi_agent.tools.evidence import contains

if TYPE_CHECKING:
    from multi_agent.data.document_index import DocumentIndex

PASSAGES = 8


class Researcher:
    """Answers questions from a folder of documents."""

    name = "researcher"
    description = (
        "Answers one question from the documents (rules, manuals, policies) with a verbatim quote."
    )

    def __init__(self, documents: DocumentIndex) -> None:
        self.documents = documents

    def work(self, step: Step, context: Context) -> Result:
        """Search, then let the brain quote a passage, which must contain the quote."""
        hits = context.call("search_documents", question=step.task, k=PASSAGES)
        passages = [Passage(**hit) for hit in hits]
        quote = context.brain.quote(step.task, passages)
        passage = next((p for p in passages if contains(p.text, quote.quote)), None)
        if passage is None:
            problem = f"The quote {quote.quote[:200]!r} is not in a passage."
            return Result(step=step.id, problem=problem)
        evidence = Evidence(kind="quote", source=passage.place, text=quote.quote)
        return Result(step=step.id, answer=quote.answer, evidence=(evidence,))


def open_specialist(workspace: Workspace) -> Researcher | None:
    return Researcher(workspace.documents) if workspace.documents else None
