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
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_core.language_models import BaseChatModel

from rag_chatbot.answer import small_talk
from rag_chatbot.answer.evidence import Draft, Span
from rag_chatbot.answer.follow_up import Exchange, searches
from rag_chatbot.answer.write import AnswerWriter
from rag_chatbot.config import Config
from seedbed.errors import BadInput, ConfigError
from seedbed.observe.telemetry import UsageCallback

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit, Retriever
    from rag_chatbot.store.catalogue import Collection

MAX_CHARACTERS = 4000  # of a question
ABSTENTION = small_talk.REFUSALS["en"]


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
    usage: dict[str, float | None]
    timings: dict[str, float]
    passages: tuple[Hit, ...]
    notices: tuple[str, ...]


class Answerer:
    """Answers with one retriever and one chat model. Stateless, and safe to use from threads."""

    def __init__(
        self,
        retriever: Retriever,
        load_model: Callable[[], BaseChatModel] | None,
        config: Config,
        spec: str = "",
    ) -> None:
        """`load_model` loads the model of this `spec` at its first use."""
        self.retriever = retriever
        self.config = config
        self.spec = spec
        self.quote: Callable[..., Generator[str, None, Draft]] | None = None
        if importlib.util.find_spec("rag_chatbot.answer.quote"):  # missing in some copies
            from rag_chatbot.answer.quote.quote import quote

            self.quote = quote
        self.writer = AnswerWriter(load_model, retriever.embeddings, spec, judges=config.judge)

    def ask(
        self, question: str, collection: Collection | None = None, history: Sequence[Exchange] = ()
    ) -> Answer:
        """The whole answer."""
        *_, answer = self.stream(question, collection, history)
        assert isinstance(answer, Answer)
        return answer

    def stream(
        self, question: str, collection: Collection | None = None, history: Sequence[Exchange] = ()
    ) -> Generator[str | Answer]:
        """Yield the text of the answer piece by piece as it is ready, then the Answer.

        `question` is clean, see `clean_question`; the collection is `default` by default. An empty
        piece means that the model is still working. Closing the generator stops the model.
        """
        usage = UsageCallback()
        started = time.perf_counter()
        mode = self.mode

        # 1. Condense: a follow-up becomes a question that stands alone.
        attempts = [question]
        if history and mode == "quote":
            attempts = searches(question, history)
        elif history:
            rewritten = yield from self.writer.condense(question, history, usage)
            attempts = [rewritten or question]
        timings = {"condense": time.perf_counter() - started, "retrieve": 0.0}

        for condensed in attempts:
            # 2. Retrieve the chunks that match it.
            search_start = time.perf_counter()
            hits = self.retriever.search(condensed, collection, k=self.config.k)
            timings["retrieve"] += time.perf_counter() - search_start

            # 3. Let the model write from the chunks, or quote their best spans; or abstain.
            if self.quote is None or mode == "write":
                pieces = self.writer.write(condensed, hits, usage)
            else:
                strictness = self.config.strictness
                embeddings = self.retriever.embeddings
                pieces = self.quote(condensed, hits, embeddings, question, strictness)
            draft = yield from pieces
            if draft.text:
                break

        # 4. Without an answer, reply to a greeting, or give the reason.
        text, greeting = draft.text, ""
        if not text:
            greeting = small_talk.greeting(question)
            text = greeting or draft.failure or small_talk.refusal(question)
            yield text
        total = time.perf_counter() - started
        timings |= {mode: total - sum(timings.values()), "total": total}

        yield Answer(
            answer=text,
            abstained=not (draft.cited or greeting),
            citations=tuple(_citation(n, span) for n, span in enumerate(draft.cited, 1)),
            question=condensed,
            model=self.spec,
            prompt_version=self.writer.version if mode == "write" else "quote",
            usage={
                "input_tokens": usage.input_tokens if usage.complete else None,
                "output_tokens": usage.output_tokens if usage.complete else None,
                "cost_usd": usage.cost_usd,
            },
            timings={name: round(seconds, 4) for name, seconds in timings.items()},
            passages=tuple(hits),
            notices=tuple(draft.notices),
        )

    @property
    def mode(self) -> str:
        """`quote` or `write`: the setting, or for `auto` the mode that suits the model.

        Raises ConfigError if this copy has no quote mode and its model cannot write.
        """
        mode = self.writer.mode if self.config.mode == "auto" else self.config.mode
        if mode == "quote" and self.quote is None:
            raise ConfigError(
                f"This copy cannot quote, and {self.spec or 'no model'} cannot write answers.",
                hint="Set SEEDBED_MODEL, e.g. openai:gpt-4o-mini.",
            )
        return mode


def _citation(n: int, span: Span) -> Citation:
    chunk = span.chunk
    where = (chunk.source, chunk.page, chunk.heading)
    return Citation(n, *where, span.quote, chunk.document_id, span.start, span.end)


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
