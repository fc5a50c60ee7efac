"""Write mode: the model writes from fenced passages, and every sentence is checked before it shows.

The model's own opinion of where something stands is not asked for: citations come from the check.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage, HumanMessage

from rag_chatbot.answer import choose, confidence
from rag_chatbot.answer.follow_up import MOST_TURNS, Turn
from rag_chatbot.read.chunk import context
from seedbed.guardrails import screen_injection
from seedbed.models import catalog
from seedbed.models.prompts import load_prompt

if TYPE_CHECKING:
    from rag_chatbot.search.retrieve import Hit

LoadModel = Callable[[], BaseChatModel]

WINDOW = 8192  # tokens, for a model that does not say
REPLY = 256  # tokens left for the answer
LEAST, MOST = 600, 12_000  # tokens of passages
MOST_SENTENCES = 6  # read from the model, shown or not; then it is stopped
_SENTENCE = re.compile(r"(?<=[.!?])(?:[\"')\]]*)\s+(?=\S)|\n+")
_REFUSES = re.compile(r"^\W*not found\b", re.IGNORECASE)


class Writer:
    """A chat model that writes answers; `None` where only quoting is wanted."""

    def __init__(
        self, model: BaseChatModel | LoadModel | None, embeddings: Any, spec: str = ""
    ) -> None:
        """A function in place of the model is called once, when the model is first needed; `spec`
        names it before that."""
        self._given = model
        self._lock = threading.Lock()
        self.spec = spec
        self.embeddings = embeddings
        self.prompt = load_prompt("rag_chatbot", "answer")
        self.condense_prompt = load_prompt("rag_chatbot", "condense")

    @property
    def model(self) -> BaseChatModel | None:
        """The chat model, loaded at its first use: who only quotes needs none."""
        with self._lock:
            if self._given is not None and not isinstance(self._given, BaseChatModel):
                self._given = self._given()
            return self._given

    @property
    def name(self) -> str:
        return self.spec or _name(self.model)

    @property
    def mode(self) -> str:
        """What the catalogue says of the model; one that it does not know can write."""
        if self._given is None:
            return "quote"
        known = catalog.find(self.name)
        return known.answer_mode if known else "write"

    @cached_property
    def window(self) -> int:
        """Tokens that the model can read."""
        known = catalog.find(self.name)
        return (known.context_window if known else 0) or _profile_window(self.model) or WINDOW

    @property
    def version(self) -> str:
        """The version and hash of the prompt, as logged with each answer."""
        return f"{self.prompt.name}/{self.prompt.version}-{self.prompt.hash}"

    @property
    def budget(self) -> int:
        """Tokens of passages: a tenth of the window keeps a small model quick and to the point."""
        return min(MOST, max(LEAST, self.window // 10), max(LEAST, self.window - 2 * REPLY))

    def passages(self, k: int) -> int:
        """How many chunks to retrieve: at least `k`, more for a model that can read more."""
        return max(k, min(50, self.budget // 120))

    def condense(self, question: str, history: Sequence[Turn], usage: dict[str, int]) -> str:
        """The model's rewriting of a follow-up, or "" when it is not a usable question."""
        turns = "\n".join(
            f"User: {turn.question}\nAnswer: {turn.answer[:500]}" for turn in history[-MOST_TURNS:]
        )
        prompt = self.condense_prompt.render(history=turns, question=question)
        text = "".join(self._stream(prompt, usage)).strip().splitlines()
        return text[0] if text and 3 < len(text[0]) <= 500 else ""

    def write(
        self,
        question: str,
        hits: Sequence[Hit],
        scored: Sequence[choose.Candidate],
        used: list[choose.Candidate],
        notices: list[str],
        usage: dict[str, int],
    ) -> Iterator[str]:
        """Yield supported sentences with their citation; fills `used`, `notices` and `usage`."""
        safe = _safe(hits, notices)
        scored = [c for c in scored if c.hit in safe]
        prompt = self.prompt.render(passages=self._fence(safe), question=question)
        shown = dropped = 0
        said: set[str] = set()
        for sentence in _sentences(self._stream(prompt, usage)):
            if _REFUSES.match(sentence) or shown + dropped >= MOST_SENTENCES:
                break
            if sentence.lower() in said:
                break  # it goes round in circles from here
            said.add(sentence.lower())
            if sentence.endswith("?"):
                continue  # a small model likes to repeat the question
            vector = choose.embed(self.embeddings, [sentence])[0]
            found = confidence.backing(sentence, vector, scored)
            if found is None:
                dropped += 1
                continue
            if found not in used:
                used.append(found)
            shown += 1
            mark = f"{sentence} [{used.index(found) + 1}]"
            yield mark if shown == 1 else f" {mark}"
        if dropped:
            notices.append(f"Left out: {dropped} sentence(s) that the documents do not support.")

    def _fence(self, hits: Sequence[Hit]) -> str:
        left = self.budget
        parts: list[str] = []
        for hit in hits:
            head = context(hit.chunk.title, hit.chunk.heading)
            text = f"[{head}]\n{hit.chunk.text}".replace("PASSAGES>>>", "").replace("<<<", "")
            left -= self._tokens(text)
            if left < 0 and parts:
                break
            parts.append(text)
        return "\n\n".join(parts)

    def _tokens(self, text: str) -> int:
        engine = getattr(self.model, "engine", None)
        return int(engine.count_tokens(text)) if engine is not None else len(text) // 4 + 1

    def _stream(self, prompt: str, usage: dict[str, int]) -> Iterator[str]:
        if self.model is None:
            return
        messages: list[BaseMessage] = [HumanMessage(prompt)]
        for chunk in self.model.stream(messages):
            meta = getattr(chunk, "usage_metadata", None) or {}
            for name in usage:
                usage[name] += meta.get(name, 0)
            if chunk.text:
                yield str(chunk.text)


def _safe(hits: Sequence[Hit], notices: list[str]) -> list[Hit]:
    """The hits that neither instruct the model nor may support what it was told to say."""
    safe = []
    for hit in hits:
        if screen_injection(hit.chunk.text):
            notices.append(
                f"A passage of {hit.chunk.source} was left out: it tries to instruct the model."
            )
        else:
            safe.append(hit)
    return safe


def _sentences(pieces: Iterator[str]) -> Iterator[str]:
    """Whole sentences, each as soon as the next one begins."""
    held = ""
    for piece in pieces:
        held += piece
        *whole, held = _SENTENCE.split(held)
        yield from (s.strip() for s in whole if s.strip())
    if held.strip():
        yield held.strip()


def _name(model: BaseChatModel | None) -> str:
    for attribute in ("spec", "model_name", "model"):
        value = getattr(model, attribute, None)
        if isinstance(value, str) and value:
            return value
    return type(model).__name__ if model is not None else ""


def _profile_window(model: BaseChatModel | None) -> int:
    return int((getattr(model, "profile", None) or {}).get("max_input_tokens", 0))
