"""One answer of a local model while it is generated: pieces of the engine become chunks of text.

    answer = model.prepare(messages)                  # `LocalChatModel.prepare`
    while generation := answer.next_generation():
        for piece in generation:
            print(answer.read(piece), end="")
            if answer.broken:
                break
    ending = answer.end()                             # the last text, tool calls, finish reason

With a grammar, the text is matched as it arrives. The engine's own grammar is looser (it does not
count, for example), so the text may leave ours: it is cut there, and another generation continues
from the cut. At the end, the shortest possible completion is appended, so the answer is valid even
when the token limit cut it off.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from seedbed.engine.engine import Engine, Generation, Piece, Sampling
from seedbed.models.local.answer_form import AnswerForm, ModelHelp
from seedbed.models.local.tool_protocol import read_calls
from seedbed.structured.grammar import Matcher

MAX_RESUMES = 8  # each submits the prompt again; after the last, the shortest completion is taken


@dataclass(frozen=True)
class Ending:
    """The end of an answer: text not yet returned, tool calls, and OpenAI's `finish_reason`."""

    text: str
    calls: list[dict[str, Any]]
    reason: str


@dataclass
class AnswerInProgress:
    """The state of one answer. One thread at a time drives it, as the module's example shows."""

    engine: Engine
    prompt: list[int]  # token ids
    sampling: Sampling
    timeout: float | None = None  # seconds, for each generation
    form: AnswerForm = field(default_factory=AnswerForm)
    help: ModelHelp | None = None
    messages: Sequence[BaseMessage] = ()  # which `help` reads
    metadata: dict[str, Any] = field(default_factory=dict)  # for `response_metadata`
    text: str = ""
    visible: int = 0  # characters of `text` that have been returned
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    generation: Generation | None = None
    broken: bool = False  # the text left the grammar, or loops: stop reading this generation
    looping: bool = False
    resumes: int = 0

    def __post_init__(self) -> None:
        self.matcher = Matcher(self.form.grammar) if self.form.grammar else None

    def with_seed(self, seed: int | None) -> AnswerInProgress:
        """Another answer to the same prompt; call it before the first generation."""
        sampling = replace(self.sampling, seed=seed)
        return replace(self, sampling=sampling, tokens=[], logprobs=[])

    def next_generation(self) -> Generation | None:
        """Submit the first generation, or one that continues where the text left the grammar.

        Returns None when the answer needs no further generation.
        """
        # 1. Continue only a text that left the grammar, with tokens and resumes left.
        if self.generation is not None and not self._may_resume():
            return None
        # 2. Force one valid character, so that every resume makes progress.
        grammar = self.form.grammar
        if self.generation is not None and self.matcher:
            self.resumes += 1
            self.matcher.broken = self.broken = False
            forced = self.matcher.rest()[:1]
            self.text += self.matcher.feed(forced)
            grammar = self.matcher.remaining()
        # 3. Submit the prompt and the text so far, with what is left of grammar and limit.
        prompt = self.prompt + (self.engine.encode(self.text) if self.text else [])
        sampling = replace(
            self.sampling,
            max_new_tokens=self.sampling.max_new_tokens - len(self.tokens),
            grammar=grammar.ebnf() if grammar else None,
        )
        self.generation = self.engine.submit(prompt, sampling, deadline=self.timeout)
        return self.generation

    def _may_resume(self) -> bool:
        assert self.matcher is not None or self.looping or not self.broken
        tokens_left = self.sampling.max_new_tokens - len(self.tokens)
        return (
            self.broken
            and tokens_left > 0
            and self.resumes < MAX_RESUMES
            and self.matcher is not None
            and bool(self.matcher.rest())
        )

    def push(self, piece: Piece) -> ChatGenerationChunk | None:
        """`read` as a LangChain chunk; None while there is no text to return."""
        text = self.read(piece)
        return ChatGenerationChunk(message=AIMessageChunk(content=text)) if text else None

    def read(self, piece: Piece) -> str:
        """Add a piece of the current generation; returns the text that can be shown now, or ""."""
        self.tokens += piece.token_ids
        self.logprobs += piece.logprobs
        text = piece.text
        if self.matcher:
            text = self.matcher.feed(text)
            self.broken = self.matcher.broken
        elif self.help and (end := self.help.loop_end(self.text, text)) is not None:
            text = text[:end]
            self.looping = self.broken = True
        self.text += text
        if self.form.tools and "\n" in text:
            self._drop_needless_call()
        return self._new_text() if self._can_show() else ""

    def _drop_needless_call(self) -> None:
        """End the answer after a complete tool call that is repeated or unrelated to the question.

        A small model that has no further call to make repeats its calls or invents some.
        """
        *earlier, last, _ = self.text.split("\n")
        if not earlier or not self.form.grammar or not self._is_call():
            return
        if last in earlier or (self.help and not self.help.keeps_call(last, self.messages)):
            self.text = "\n".join(earlier)
            self.matcher = Matcher(self.form.grammar)
            self.matcher.feed(self.text)
            self.broken = True

    def _can_show(self) -> bool:
        """False for text that may still change: tool calls, and arrays of unique items."""
        if self.visible == len(self.text):
            return False
        if self.form.tools:
            return not self._is_call()
        return self.form.constraint is None or not self.form.constraint.unique

    def _is_call(self) -> bool:
        return bool(self.form.only_tool) or self.text.startswith("{")

    def _new_text(self) -> str:
        text, self.visible = self.text[self.visible :], len(self.text)
        return text

    def end(self) -> Ending:
        """Complete the answer; call it once `next_generation` has returned None."""
        # 1. Append the shortest completion, and remove repeated items where they must be unique.
        at_limit = len(self.tokens) >= self.sampling.max_new_tokens
        completion = self.matcher.rest() if self.matcher and self.form.must_complete else ""
        self.text += completion
        if self.form.constraint and self.form.constraint.unique:
            self.text = self.form.constraint.finish(self.text)
        reason = "length" if at_limit and not self.looping and not self._stopped() else "stop"
        # 2. Return text that has not been shown yet …
        if not self.form.tools or not self._is_call():
            return Ending(self._new_text(), [], reason)
        # 3. … or the tool calls. Arguments that only the grammar completed keep the reason
        #    "length", so that the caller does not act on them unseen.
        self.visible = len(self.text)
        calls = read_calls(self.text, self.form.tools, self.form.only_tool)
        if self.help:
            calls[1:] = [
                call
                for call in calls[1:]
                if self.help.keeps_call(json.dumps(call["args"]), self.messages)
            ]
        cut_off = completion and reason == "length"
        return Ending("", calls, "length" if cut_off else "tool_calls")

    def last_chunk(self) -> ChatGenerationChunk:
        """`end` as a LangChain chunk, with usage and metadata."""
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
                **self.metadata,
                "finish_reason": ending.reason,
                **self._measurements(),
            },
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)

    def _stopped(self) -> bool:
        """Whether the model ended the text itself, if only with its last permitted token."""
        outcome = self.generation.outcome if self.generation else None
        return outcome is not None and outcome.finish_reason == "stop"

    def _measurements(self) -> dict[str, Any]:
        measurements: dict[str, Any] = {}
        outcome = self.generation.outcome if self.generation else None
        if outcome is not None:
            measurements["time_to_first_token"] = outcome.time_to_first_token
        if self.sampling.logprobs:
            measurements["logprobs"] = {
                "content": [
                    {"token": self.engine.decode([token]), "logprob": logprob}
                    for token, logprob in zip(self.tokens, self.logprobs, strict=True)
                ]
            }
        return measurements
