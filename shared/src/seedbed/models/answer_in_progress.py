"""One answer of a local model in the making: pieces of an engine become LangChain's chunks.

Where a grammar holds, the text is read along with it: what leaves it (counts are left open in the
engine's constraint) is cut, and the model goes on from there. At the end the shortest rest makes
the answer complete, so it is valid even when the token limit cut it off.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from seedbed.engine.engine import Engine, Generation, Piece, Sampling
from seedbed.models.tool_calls import names, read_calls
from seedbed.structured.constrain import Constraint
from seedbed.structured.grammar import Grammar, Matcher
from seedbed.structured.schemas import Schema

MAX_RESUMES = 8


@dataclass(frozen=True)
class Ending:
    """How an answer ends: the text not shown yet, its tool calls, and `finish_reason`."""

    text: str
    calls: list[dict[str, Any]]
    reason: str


@dataclass
class Turn:
    engine: Engine
    prompt: list[int]
    sampling: Sampling
    deadline: float | None
    grammar: Grammar | None
    constraint: Constraint | None
    tools: list[Schema]
    about: dict[str, Any]
    asked: str = ""  # where it is given, a second call must name something of it
    text: str = ""
    shown: int = 0
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    generation: Generation | None = None
    broken: bool = False
    resumes: int = 0
    first: float | None = None

    def __post_init__(self) -> None:
        self.matcher = Matcher(self.grammar) if self.grammar else None

    def next_generation(self) -> Generation | None:
        """The first generation, then one more wherever the text left the grammar, then None."""
        if self.generation is not None and not self._may_resume():
            return None
        grammar = self.grammar
        if self.generation is not None and self.matcher:
            self.resumes += 1
            self.matcher.broken = self.broken = False
            forced = self.matcher.rest()[:1]
            self.text += self.matcher.feed(forced)
            grammar = self.matcher.remaining()
        prompt = self.prompt + (self.engine.encode(self.text) if self.text else [])
        sampling = replace(
            self.sampling,
            max_new_tokens=self.sampling.max_new_tokens - len(self.tokens),
            grammar=grammar.ebnf() if grammar else None,
        )
        self.generation = self.engine.submit(prompt, sampling, deadline=self.deadline)
        return self.generation

    def _may_resume(self) -> bool:
        assert self.matcher is not None or not self.broken
        left = self.sampling.max_new_tokens - len(self.tokens)
        return self.broken and left > 0 and self.resumes < MAX_RESUMES and self._unfinished()

    def _unfinished(self) -> bool:
        return self.matcher is not None and bool(self.matcher.rest())

    def push(self, piece: Piece) -> ChatGenerationChunk | None:
        """The chunk to show for a piece, if there is something to show yet."""
        text = self.read(piece)
        return ChatGenerationChunk(message=AIMessageChunk(content=text)) if text else None

    def read(self, piece: Piece) -> str:
        """The text to show for a piece; "" while there is none yet."""
        self.tokens += piece.token_ids
        self.logprobs += piece.logprobs
        text = piece.text
        if self.matcher:
            text = self.matcher.feed(text)
            self.broken = self.matcher.broken
        self.text += text
        if self.tools and "\n" in text:
            self._end_at_a_needless_call()
        return self._show() if self._streams() else ""

    def _end_at_a_needless_call(self) -> None:
        """A small model that has no further call to make repeats its calls, or invents some."""
        *before, last, _ = self.text.split("\n")
        if not before or not self.grammar or not self.text.startswith("{"):
            return
        if last in before or (self.asked and not names(last, self.asked)):
            self.text = "\n".join(before)
            self.matcher = Matcher(self.grammar)
            self.matcher.feed(self.text)
            self.broken = True

    def _streams(self) -> bool:
        """Calls, and arrays from which members may be taken out, are shown when complete."""
        if self.shown == len(self.text):
            return False
        if self.tools:
            return not self.text.startswith("{")
        return self.constraint is None or not self.constraint.unique

    def _show(self) -> str:
        new, self.shown = self.text[self.shown :], len(self.text)
        return new

    def end(self) -> Ending:
        """What was held back, the rest that completes it, and what only the end knows."""
        cut = len(self.tokens) >= self.sampling.max_new_tokens
        rest = self.matcher.rest() if self.matcher else ""
        self.text += rest
        if self.constraint and self.constraint.unique:
            self.text = self.constraint.finish(self.text)
        reason = "length" if cut and not self._ended() else "stop"
        if self.tools and self.text.startswith("{"):
            self.shown = len(self.text)
            calls = read_calls(self.text, self.tools)
            if self.asked:
                calls[1:] = [c for c in calls[1:] if names(json.dumps(c["args"]), self.asked)]
            # Arguments that only the grammar completed are not to be acted upon unseen.
            return Ending("", calls, "length" if rest and reason == "length" else "tool_calls")
        return Ending(self._show(), [], reason)

    def last_chunk(self) -> ChatGenerationChunk:
        """The end as LangChain has it, with usage."""
        ending = self.end()
        message = AIMessageChunk(
            content=ending.text,
            tool_call_chunks=[
                tool_call_chunk(
                    name=call["name"],
                    args=json.dumps(call["args"], ensure_ascii=False),
                    id=call["id"],
                    index=n,
                )
                for n, call in enumerate(ending.calls)
            ],
            usage_metadata=UsageMetadata(
                input_tokens=len(self.prompt),
                output_tokens=len(self.tokens),
                total_tokens=len(self.prompt) + len(self.tokens),
            ),
            response_metadata={
                **self.about,
                "finish_reason": ending.reason,
                **self._measured(),
            },
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)

    def _ended(self) -> bool:
        outcome = self.generation.outcome if self.generation else None
        return outcome is not None and outcome.finish_reason == "stop"

    def _measured(self) -> dict[str, Any]:
        measured: dict[str, Any] = {}
        outcome = self.generation.outcome if self.generation else None
        if outcome is not None:
            measured["time_to_first_token"] = outcome.time_to_first_token
        if self.sampling.logprobs:
            measured["logprobs"] = {
                "content": [
                    {"token": self.engine.decode([token]), "logprob": logprob}
                    for token, logprob in zip(self.tokens, self.logprobs, strict=True)
                ]
            }
        return measured
