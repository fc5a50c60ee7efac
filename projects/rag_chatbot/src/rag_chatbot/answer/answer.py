"""Answers a question from the documents, with verified citations, or abstains.

    answer = Answerer(retriever, None, config).ask("Which port does the server use?")
    print(answer.answer, [citation.quote for citation in answer.citations])

`Answerer.stream` shows the steps. In quote mode an answer consists of the best spans of the
documents, and no model writes. In write mode a model writes, and a sentence is shown only if a
retrieved span supports it. Access rules and conversations are left to `chatbot`.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel

from rag_chatbot.answer.evidence import Draft, Span
from rag_chatbot.answer.follow_up import MAX_EXCHANGES, Exchange, condense, is_short, with_topic
from rag_chatbot.answer.small_talk import PHRASES, SmallTalk
from rag_chatbot.answer.spelling import repair
from rag_chatbot.answer.write import AnswerWriter
from rag_chatbot.config import Config
from seedbed.errors import BadInput, ConfigError
from seedbed.observe.usage import UsageCallback

if TYPE_CHECKING:
    from rag_chatbot.answer.quote.quoter import Quoter
    from rag_chatbot.search.retrieve import Hit, Retriever

MAX_CHARACTERS = 4000  # of a question
REPAIRS = 3  # searches with repaired words: each may find the passages that repair the next one
ABSTENTION = str(PHRASES["en"]["refusal"])


@dataclass(frozen=True)
class Citation:
    """A span of a document: `quote` is `text[start:end]` of it.

    `n` is its number in the answer, `page` counts from 1.
    """

    n: int
    source: str
    page: int | None
    heading: str
    quote: str
    document_id: int
    start: int
    end: int


@dataclass(frozen=True)
class Answer:
    """The answer to one question.

    `question` is the condensed one, `passages` are the retrieved chunks; timings are in seconds.
    `usage` has the tokens of all calls of the model and `cost_usd`, None where they are unknown.
    """

    answer: str
    abstained: bool
    citations: tuple[Citation, ...]
    question: str
    model: str
    prompt_version: str
    usage: dict[str, float | None] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    passages: tuple[Hit, ...] = ()
    notices: tuple[str, ...] = ()


class Answerer:
    """Answers with one retriever and one chat model. Stateless, and safe to use from threads."""

    def __init__(
        self,
        retriever: Retriever,
        chat_model: BaseChatModel | Callable[[], BaseChatModel] | None,
        config: Config,
        spec: str = "",
    ) -> None:
        """`chat_model` may be a function that loads the model of this `spec` at its first use."""
        self.retriever = retriever
        self.config = config
        self.embeddings = retriever.embeddings
        self.spec = spec
        self.quoter = open_quoter(self.embeddings)
        self.small_talk = SmallTalk(self.embeddings)
        self.writer = AnswerWriter(chat_model, self.embeddings, spec, judges=config.judge)

    def ask(self, question: str, **options: Any) -> Answer:
        """The whole answer; options as for `stream`."""
        *_, answer = self.stream(question, **options)
        assert isinstance(answer, Answer)
        return answer

    def stream(
        self,
        question: str,
        *,
        collection: str = "default",
        history: Sequence[Exchange] = (),
        k: int | None = None,
        mode: str | None = None,
        strictness: float | None = None,
    ) -> Iterator[str | Answer]:
        """Yield the text of the answer piece by piece as it is ready, then the Answer.

        Raises BadInput for a question that is empty, too long or has no words.
        """
        clock, usage = _Clock(), UsageCallback()
        question = clean_question(question)
        writes = self._mode(mode) == "write"
        strictness = self.config.strictness if strictness is None else strictness

        # 1. Condense: a follow-up becomes a question that stands alone.
        condensed = condense(question, history) if history else question
        focus = question
        if writes and condensed != question:
            focus = condensed = self.writer.condense(question, history, usage) or condensed
        clock.lap("condense")

        # 2. Retrieve the chunks that match it, and repair its typing errors with their words.
        k = k or self.config.k
        alone = condensed == question
        condensed, hits = self._retrieve(condensed, collection, k)
        focus = condensed if alone else focus
        clock.lap("retrieve")

        # 3. Let the model write from the chunks, or quote their best spans; or abstain. A short
        #    question that finds no quote alone may mean the topic of the one before.
        if self.quoter is None or writes:
            draft = yield from clock.timed(self.writer.write(condensed, hits, usage))
        else:
            pieces = self.quoter.quote(condensed, hits, focus=focus, strictness=strictness)
            draft = yield from clock.timed(pieces)
            if not draft.text and history and alone and is_short(question):
                topical = with_topic(question, history)
                condensed, hits = self._retrieve(topical, collection, k)
                pieces = self.quoter.quote(condensed, hits, focus=question, strictness=strictness)
                draft = yield from clock.timed(pieces)

        # 4. Without an answer, greet or refuse.
        reply = ""
        if not draft.text:
            reply = self.small_talk.reply(
                question, lambda: self.retriever.store.documents(collection)
            )
            clock.first()
            yield reply or self.small_talk.refusal(question)
        clock.lap("write" if writes else "quote")

        yield Answer(
            answer=draft.text or reply or self.small_talk.refusal(question),
            abstained=not (draft.cited or reply),
            citations=tuple(_citation(n, span) for n, span in enumerate(draft.cited, 1)),
            question=condensed,
            model=self.spec or self.writer.name,
            prompt_version=self.writer.version if writes else "quote",
            usage={
                "input_tokens": usage.input_tokens if usage.complete else None,
                "output_tokens": usage.output_tokens if usage.complete else None,
                "cost_usd": usage.cost_usd,
            },
            timings=clock.times(),
            passages=tuple(hits),
            notices=(*_history_notice(history), *draft.notices),
        )

    def _retrieve(self, question: str, collection: str, k: int) -> tuple[str, list[Hit]]:
        """The question, with repaired spelling, and the chunks that match it."""
        hits = self.retriever.search(question, collection=collection, k=k)
        for _ in range(REPAIRS):
            passages = (f"{hit.chunk.title} {hit.chunk.heading} {hit.chunk.text}" for hit in hits)
            repaired = repair(question, passages, self.embeddings)
            if repaired == question:
                break
            question = repaired
            hits = self.retriever.search(question, collection=collection, k=k)
        return question, hits

    def _mode(self, mode: str | None) -> str:
        mode = mode or self.config.mode
        if mode not in ("auto", "quote", "write"):
            raise BadInput(f"Unknown answer mode {mode!r}.", hint="Available: auto, quote, write.")
        mode = self.writer.mode if mode == "auto" else mode
        if mode == "quote" and self.quoter is None:
            raise ConfigError(
                f"This copy cannot quote, and {self.spec or 'no model'} cannot write answers.",
                hint="Set SEEDBED_MODEL, e.g. openai:gpt-4o-mini.",
            )
        return mode


def open_quoter(embeddings: Any) -> Quoter | None:
    """The engine of quote mode; None in a copy without the folder `quote`."""
    if importlib.util.find_spec("rag_chatbot.answer.quote") is None:
        return None
    from rag_chatbot.answer.quote.quoter import Quoter

    return Quoter(embeddings)


def clean_question(question: str) -> str:
    """The question without control characters and surrounding space.

    Raises BadInput when it is longer than MAX_CHARACTERS or has fewer than two letters or digits.
    """
    if len(question) > MAX_CHARACTERS:
        raise BadInput(
            f"The question has {len(question):,} characters; the limit is {MAX_CHARACTERS:,}.",
            hint="Shorten it, or ingest long text as a document.",
        )
    cleaned = "".join(c if c.isprintable() or c in "\n\t" else " " for c in question).strip()
    if sum(c.isalnum() for c in cleaned) < 2:
        raise BadInput(
            f"The question {question[:20]!r} contains no words.", hint="Ask in a few words."
        )
    return cleaned


def _history_notice(history: Sequence[Exchange]) -> list[str]:
    if len(history) <= MAX_EXCHANGES:
        return []
    return [f"Only the last {MAX_EXCHANGES} of {len(history)} earlier turns were considered."]


def _citation(n: int, span: Span) -> Citation:
    chunk = span.chunk
    return Citation(
        n,
        chunk.source,
        chunk.page,
        chunk.heading,
        span.quote,
        chunk.document_id,
        span.start,
        span.end,
    )


class _Clock:
    """Seconds of each step, until the first piece of text, and in total."""

    def __init__(self) -> None:
        self._start = self._last = time.perf_counter()
        self._times: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """End the step `name`."""
        now = time.perf_counter()
        self._times[name] = now - self._last
        self._last = now

    def first(self) -> None:
        """Record the time of the first piece of text; later calls change nothing."""
        self._times.setdefault("first_token", time.perf_counter() - self._start)

    def timed(self, pieces: Generator[str, None, Draft]) -> Generator[str, None, Draft]:
        """Pass on what `pieces` yields and returns, and record when the first one came."""
        with closing(pieces):  # also when the caller stops reading: that stops the model
            while True:
                try:
                    piece = next(pieces)
                except StopIteration as end:
                    draft: Draft = end.value
                    return draft
                if piece:
                    self.first()
                yield piece

    def times(self) -> dict[str, float]:
        """All times so far, rounded to 0.1 ms."""
        times = {**self._times, "total": time.perf_counter() - self._start}
        return {name: round(seconds, 4) for name, seconds in times.items()}
