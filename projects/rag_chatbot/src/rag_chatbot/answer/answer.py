"""Answers a question from the documents, with citations that were checked, or says that it cannot.

Quote mode shows the best supported spans of the documents; no model writes. In write mode the model
writes, and a sentence is shown only if a retrieved span supports it. Which collection may be read
is decided before this.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel

from rag_chatbot.answer import choose, compose, confidence, follow_up
from rag_chatbot.answer.follow_up import Turn
from rag_chatbot.answer.write import LoadModel, Writer
from rag_chatbot.config import Config
from seedbed.errors import BadInput

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit, Retriever

__all__ = ["Answer", "Answerer", "Citation", "Turn"]

MOST_CHARACTERS = 4000
ABSTENTION = "I can't find this in these documents."


@dataclass(frozen=True)
class Citation:
    """A span of a document: `quote` is `text[start:end]` of it. `score` is its support, 0 to 1."""

    n: int
    source: str
    page: int | None
    heading: str
    quote: str
    score: float
    document_id: int
    start: int
    end: int


@dataclass(frozen=True)
class Answer:
    """`question` is what was searched for; `passages` are the nearest chunks; times in seconds."""

    answer: str
    abstained: bool
    citations: tuple[Citation, ...]
    question: str
    model: str
    prompt_version: str
    usage: dict[str, int] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    passages: tuple[Hit, ...] = ()
    notices: tuple[str, ...] = ()


class Answerer:
    """Retriever and chat model behind one question; thread-safe as they are. Keeps no state."""

    def __init__(
        self,
        retriever: Retriever,
        chat_model: BaseChatModel | LoadModel | None,
        config: Config,
        spec: str = "",
    ) -> None:
        """`chat_model` may be a function that loads the model of this `spec` when it is needed."""
        self.retriever = retriever
        self.config = config
        self.embeddings = retriever.embeddings
        self.writer = Writer(chat_model, self.embeddings, spec)

    def ask(self, question: str, **options: Any) -> Answer:
        """The answer at once; options as for `stream`."""
        *_, answer = self.stream(question, **options)
        assert isinstance(answer, Answer)
        return answer

    def stream(
        self,
        question: str,
        *,
        collection: str = "default",
        history: Sequence[Turn] = (),
        k: int | None = None,
        mode: str | None = None,
        strictness: float | None = None,
    ) -> Iterator[str | Answer]:
        """Yield pieces of the answer's text as they are ready, then the Answer.

        Raises BadInput for a question that is empty, too long or of control characters.
        """
        clock = _Clock()
        question = check(question)
        mode = self._mode(mode)
        strictness = self.config.strictness if strictness is None else strictness
        notices = _cut_notice(history)
        usage = {"input_tokens": 0, "output_tokens": 0}
        condensed, focus = follow_up.condense(question, history), question
        if mode == "write" and condensed != question:
            condensed = self.writer.condense(question, history, usage) or condensed
            focus = condensed
        clock.lap("condense")
        wide = k or (self.writer.passages(self.config.k) if mode == "write" else self.config.k)
        hits = self.retriever.search(condensed, collection=collection, k=wide)
        clock.lap("retrieve")
        scored = choose.score(condensed, choose.candidates(hits), self.embeddings, focus=focus)
        chosen = choose.choose(scored)
        sure = confidence.confidence(condensed, scored)
        clock.lap("select")

        used: list[choose.Candidate] = []
        text = ""
        if chosen and sure >= confidence.threshold(strictness):
            if mode == "write":
                pieces = self.writer.write(condensed, hits, scored, used, notices, usage)
            else:
                used = compose.in_order(chosen)
                pieces = compose.pieces(used)
            for piece in pieces:
                clock.first()
                text += piece
                yield piece
        if not text:
            clock.first()
            text = ABSTENTION
            yield text
        clock.lap("write" if mode == "write" else "compose")
        yield Answer(
            answer=text,
            abstained=not used,
            citations=tuple(_citation(n, c, sure) for n, c in enumerate(used, 1)),
            question=condensed,
            model=self.writer.name,
            prompt_version=self.writer.version if mode == "write" else "quote",
            usage=usage,
            timings=clock.times(),
            passages=tuple(hits),
            notices=tuple(notices),
        )

    def _mode(self, mode: str | None) -> str:
        mode = mode or self.config.mode
        if mode not in ("auto", "quote", "write"):
            raise BadInput(f"There is no answer mode {mode!r}.", hint="Use auto, quote or write.")
        return self.writer.mode if mode == "auto" else mode


class _Clock:
    """Seconds of each step, to the first piece of text, and in all."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._times: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._times[name] = now - self._last
        self._last = now

    def first(self) -> None:
        self._times.setdefault("first_token", time.perf_counter() - self._start)

    def times(self) -> dict[str, float]:
        total = time.perf_counter() - self._start
        return {name: round(t, 4) for name, t in {**self._times, "total": total}.items()}


def check(question: str) -> str:
    """The question without the space around it; BadInput says what is wrong with it."""
    if len(question) > MOST_CHARACTERS:
        raise BadInput(
            f"The question has {len(question):,} characters; {MOST_CHARACTERS:,} are the limit.",
            hint="Shorten it, or ingest long text as a document.",
        )
    cleaned = "".join(c if c.isprintable() or c in "\n\t" else " " for c in question).strip()
    if sum(c.isalnum() for c in cleaned) < 2:
        raise BadInput(
            f"The question {question[:20]!r} holds no words.", hint="Ask in a few words."
        )
    return cleaned


def _cut_notice(history: Sequence[Turn]) -> list[str]:
    if len(history) <= follow_up.MOST_TURNS:
        return []
    return [
        f"Only the last {follow_up.MOST_TURNS} of {len(history)} earlier turns were considered."
    ]


def _citation(n: int, c: choose.Candidate, sure: float) -> Citation:
    chunk = c.hit.chunk
    return Citation(
        n, chunk.source, chunk.page, chunk.heading, c.quote, round(sure, 3),
        chunk.document_id, c.start, c.end,
    )  # fmt: skip
