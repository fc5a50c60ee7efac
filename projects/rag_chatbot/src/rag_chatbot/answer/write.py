"""Write mode: a chat model writes from fenced passages, and every sentence is checked.

A sentence appears only if a retrieved span supports it, and that span becomes its citation: the
model is never asked where something is.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage

from rag_chatbot.answer.evidence import USAGE, Draft, Usage
from rag_chatbot.answer.follow_up import MAX_EXCHANGES, Exchange
from rag_chatbot.answer.quote.features import Candidate, candidates, score
from rag_chatbot.read.language import context, overlap, stream_sentences, terms
from seedbed.models.embeddings.load import Vectors, embed_texts
from seedbed.models.prompts import load_prompt, quote
from seedbed.models.weights import catalog
from seedbed.safety.injection import screen_injection

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit

DEFAULT_WINDOW = 8192  # tokens, for a model whose context window is unknown
REPLY_TOKENS = 256  # reserved for the answer
MIN_PASSAGES, MAX_PASSAGES = 600, 12_000  # tokens of passages in a prompt
CHUNK_TOKENS = 120  # tokens of a usual chunk, to choose how many to retrieve
MAX_SENTENCES = 6  # sentences read from the model, supported or not; then it is stopped
_REFUSAL = re.compile(r"^\W*not found\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# A written sentence is supported from these values on; set by hand on the shipped questions.
SUPPORT_COSINE = 0.4
SUPPORT_OVERLAP = 0.4


class AnswerWriter:
    """Writes answers with one chat model, which is loaded at its first use."""

    def __init__(
        self,
        model: BaseChatModel | Callable[[], BaseChatModel] | None,
        embeddings: Any,
        spec: str = "",
    ) -> None:
        """`model` may be a function that loads it, called once; None where answers only quote.

        `spec` names the model before it is loaded.
        """
        self.spec = spec
        self.embeddings = embeddings
        self.prompt = load_prompt("rag_chatbot", "answer")
        self.condense_prompt = load_prompt("rag_chatbot", "condense")
        self._model = model
        self._lock = threading.Lock()

    @property
    def model(self) -> BaseChatModel | None:
        """The chat model; loads it if necessary."""
        with self._lock:
            if self._model is not None and not isinstance(self._model, BaseChatModel):
                self._model = self._model()
            return self._model

    @property
    def name(self) -> str:
        """The spec of the model, or the name that it gives itself; "" without a model."""
        return self.spec or _model_name(self.model)

    @property
    def mode(self) -> str:
        """`write`; `quote` without a model and for one that the catalogue rates too weak."""
        if self._model is None:
            return "quote"
        entry = catalog.find(self.name)
        return entry.answer_mode if entry else "write"

    @cached_property
    def window(self) -> int:
        """The model's context window in tokens."""
        entry = catalog.find(self.name)
        return (
            (entry.context_window if entry else 0) or _profile_window(self.model) or DEFAULT_WINDOW
        )

    @property
    def version(self) -> str:
        """Name, version and hash of the prompt, as logged with each answer."""
        return f"{self.prompt.name}/{self.prompt.version}-{self.prompt.hash}"

    @property
    def budget(self) -> int:
        """Tokens of passages: a tenth of the window keeps a small model quick and to the point."""
        available = self.window - 2 * REPLY_TOKENS
        return min(MAX_PASSAGES, max(MIN_PASSAGES, self.window // 10), max(MIN_PASSAGES, available))

    def passages(self, k: int) -> int:
        """The number of chunks to retrieve: `k`, or more for a model with a large window."""
        return max(k, min(50, self.budget // CHUNK_TOKENS))

    def condense(self, question: str, history: Sequence[Exchange]) -> tuple[str, Usage]:
        """A follow-up rewritten by the model, or "" if the result is unusable; and its usage."""
        exchanges = "\n".join(
            f"User: {exchange.question}\nAnswer: {exchange.answer[:500]}"
            for exchange in history[-MAX_EXCHANGES:]
        )
        prompt = self.condense_prompt.render(history=exchanges, question=question)
        reply = _Reply(self.model, prompt)
        lines = "".join(reply).strip().splitlines()
        usable = bool(lines) and 3 < len(lines[0]) <= 500
        return (lines[0] if usable else ""), reply.usage

    def write(self, question: str, hits: Sequence[Hit]) -> Generator[str, None, Draft]:
        """Yield supported sentences with their citations; return the whole draft."""
        # 1. Leave out passages that try to instruct the model: they may not support it either.
        safe = [hit for hit in hits if not screen_injection(hit.chunk.text)]
        notices = [
            f"A passage of {hit.chunk.source} was left out: it tries to instruct the model."
            for hit in hits
            if hit not in safe
        ]
        scored = score(question, candidates(safe), self.embeddings)

        # 2. Let the model write, sentence by sentence.
        prompt = self.prompt.render(passages=self._fence(safe), question=question)
        reply = _Reply(self.model, prompt)
        text, cited = "", list[Candidate]()
        supported, unsupported, seen = 0, 0, set[str]()
        for sentence in stream_sentences(reply):
            if _REFUSAL.match(sentence) or supported + unsupported >= MAX_SENTENCES:
                break
            if sentence.lower() in seen:
                break  # the model repeats itself, and will go on doing so
            seen.add(sentence.lower())
            if sentence.endswith("?"):
                continue  # small models like to repeat the question

            # 3. Show a sentence only with the span that supports it.
            [vector] = embed_texts(self.embeddings, [sentence])
            span = backing(sentence, vector, scored)
            if span is None:
                unsupported += 1
                continue
            supported += 1
            if span not in cited:
                cited.append(span)
            piece = f"{' ' if text else ''}{sentence} [{cited.index(span) + 1}]"
            text += piece
            yield piece

        if unsupported:
            notices.append(f"Left out: {unsupported} sentence(s) not supported by the documents.")
        return Draft(text, tuple(c.span for c in cited), tuple(notices), reply.usage)

    def _fence(self, hits: Sequence[Hit]) -> str:
        """The passages of a prompt, best first, as many as the budget allows."""
        left, passages = self.budget, list[str]()
        for hit in hits:
            heading = context(hit.chunk.title, hit.chunk.heading)
            text = f"[{heading}]\n{hit.chunk.text}"
            left -= self._count_tokens(text)
            if left < 0 and passages:
                break
            passages.append(text)
        return quote("\n\n".join(passages), "passages")

    def _count_tokens(self, text: str) -> int:
        engine = getattr(self.model, "engine", None)
        return int(engine.count_tokens(text)) if engine is not None else len(text) // 4 + 1


def backing(sentence: str, vector: Vectors, scored: Sequence[Candidate]) -> Candidate | None:
    """The candidate that supports a written sentence best, or None.

    It has to be close in meaning, share words, and contain every number of the sentence. `vector`
    is the embedding of the sentence: float32 (dimension,), of length 1.
    """
    weights = dict.fromkeys(terms(sentence), 1.0)
    numbers = set(_NUMBER.findall(sentence))
    best, best_value = None, 0.0
    for c in scored:
        if not numbers <= set(_NUMBER.findall(c.window)):
            continue
        cosine = float(vector @ c.vector)
        shared = overlap(weights, terms(c.window))
        value = 0.5 * cosine + 0.5 * shared
        if value > best_value and cosine >= SUPPORT_COSINE and shared >= SUPPORT_OVERLAP:
            best, best_value = c, value
    return best


class _Reply:
    """A model's reply: iterate over its text; `usage` counts the tokens so far."""

    def __init__(self, model: BaseChatModel | None, prompt: str) -> None:
        self.model = model
        self.prompt = prompt
        self.usage: Usage = Counter()

    def __iter__(self) -> Iterator[str]:
        if self.model is None:
            return
        for chunk in self.model.stream([HumanMessage(self.prompt)]):
            counts = getattr(chunk, "usage_metadata", None) or {}
            for name in USAGE:
                self.usage[name] += counts.get(name, 0)
            if chunk.text:
                yield str(chunk.text)


def _model_name(model: BaseChatModel | None) -> str:
    for attribute in ("spec", "model_name", "model"):
        value = getattr(model, attribute, None)
        if isinstance(value, str) and value:
            return value
    return type(model).__name__ if model is not None else ""


def _profile_window(model: BaseChatModel | None) -> int:
    return int((getattr(model, "profile", None) or {}).get("max_input_tokens", 0))
