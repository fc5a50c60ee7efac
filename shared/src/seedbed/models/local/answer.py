"""One answer of a local model while it is generated: pieces of the engine become text.

    answer = model.prepare(messages)                  # `LocalChatModel.prepare`
    while generation := answer.next_generation():
        for piece in generation:
            print(answer.read(piece), end="")
            if answer.broken:
                break
    ending = answer.end()                             # the last text, tool calls, finish reason

With a grammar, the text is matched as it arrives. The engine's own grammar is looser (it does not
count, for example), so the text may leave ours: it is cut there, and another generation continues
from the cut. At the end, the shortest possible completion is appended, so that the answer parses
even when the token limit cut it off; `Ending.cut_off` is true then.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from seedbed.engine.engine import Engine
from seedbed.engine.generation import Generation, Sampling, StepOutput
from seedbed.models.local.answer_form import AnswerForm, read_calls
from seedbed.structured.grammar import Matcher

MAX_RESUMES = 8  # each submits the prompt again; after the last, the shortest completion is taken


@dataclass(frozen=True)
class Ending:
    """The end of an answer: text not yet returned, tool calls, and OpenAI's `finish_reason`.

    `cut_off`: the end of the JSON, or of the last call, is a completion that the model did not
    write.
    """

    text: str
    calls: list[dict[str, Any]]
    reason: str
    cut_off: bool = False


@dataclass
class AnswerState:
    """The state of one answer. One thread at a time drives it, as the module's example shows."""

    engine: Engine
    prompt: list[int]  # token ids
    sampling: Sampling
    timeout: float | None = None  # seconds, for each generation
    form: AnswerForm = field(default_factory=AnswerForm)
    help: Any = None  # ends loops of a model that is too small, see `SmallModelHelp`
    text: str = ""
    visible: int = 0  # characters of `text` that have been returned
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    generation: Generation | None = None
    broken: bool = False  # the text left the grammar, or loops: stop reading this generation
    looping: bool = False
    resumes: int = 0
    completion: str = ""  # the end of `text` that the model did not write

    def __post_init__(self) -> None:
        self.matcher = Matcher(self.form.grammar) if self.form.grammar else None

    def with_seed(self, seed: int | None) -> AnswerState:
        """Another answer to the same prompt; call it before the first generation."""
        sampling = replace(self.sampling, seed=seed)
        return replace(self, sampling=sampling, tokens=[], logprobs=[])

    def next_generation(self) -> Generation | None:
        """Submit the first generation, or one that continues where the text left the grammar.

        Returns None when the answer needs no further generation.
        """
        grammar, stop = self.form.grammar, self.sampling.stop
        if self.generation is not None:
            # 1. Continue only an incomplete text with tokens and resumes left: one that left the
            #    grammar, or a call that a stop sequence has cut.
            cut_by_stop = bool(stop) and self._stopped() and self._is_call()
            tokens_left = self.sampling.max_new_tokens - len(self.tokens)
            if not (self.broken or cut_by_stop) or tokens_left <= 0:
                return None
            if self.matcher is None or self.resumes >= MAX_RESUMES or not self.matcher.rest():
                return None
            self.resumes += 1
            # 2. Force one valid character, so that every resume makes progress.
            if self.broken:
                self.matcher.broken = self.broken = False
                self.text += self.matcher.feed(self.matcher.rest()[:1])
            grammar = self.matcher.remaining()
            stop = () if self._is_call() else stop
        # 3. Submit the prompt and the text so far, with what is left of grammar and limit.
        prompt = self.prompt + (self.engine.encode(self.text) if self.text else [])
        sampling = replace(
            self.sampling,
            max_new_tokens=self.sampling.max_new_tokens - len(self.tokens),
            stop=stop,
            grammar=grammar.ebnf if grammar else None,
        )
        self.generation = self.engine.submit(prompt, sampling, timeout=self.timeout)
        return self.generation

    def read(self, piece: StepOutput) -> str:
        """Add a piece of the current generation; returns the text that can be shown now, or ""."""
        self.tokens += piece.token_ids
        self.logprobs += piece.logprobs
        text = piece.text
        if self.help and (end := self.help.loop_end(self.text, text)) is not None:
            text, self.broken = text[:end], True
            self.looping = self.matcher is None  # in JSON, the next generation ends the string
        if self.matcher:
            text = self.matcher.feed(text)
            self.broken |= self.matcher.broken
        self.text += text
        return "" if self._is_call() else self._new_text()

    @property
    def written(self) -> str:
        """The text without the completion that `end` has appended."""
        return self.text.removesuffix(self.completion)

    def _is_call(self) -> bool:
        """Whether the text is that of tool calls, which is never shown."""
        return bool(self.form.only_tool or (self.form.tools and self.text.startswith("{")))

    def _new_text(self) -> str:
        text, self.visible = self.text[self.visible :], len(self.text)
        return text

    def end(self) -> Ending:
        """Complete the answer; call it once `next_generation` has returned None."""
        # 1. Append the shortest completion.
        if self.matcher and self.form.must_complete:
            self.completion = self.matcher.rest()
        self.text += self.completion
        at_limit = len(self.tokens) >= self.sampling.max_new_tokens
        at_limit = at_limit and not self.looping and not self._stopped()
        reason = "length" if self.completion or at_limit else "stop"
        # 2. Return text that has not been shown yet …
        if not self._is_call():
            cut_off = self.form.is_json and reason == "length"
            return Ending(self._new_text(), [], reason, cut_off)
        # 3. … or the tool calls. Arguments that only the grammar completed keep the reason
        #    "length", so that the caller does not act on them unseen.
        calls = read_calls(self.text, self.form.tools, self.form.only_tool)
        reason = "length" if self.completion else "tool_calls"
        return Ending("", calls, reason, bool(self.completion))

    def _stopped(self) -> bool:
        """Whether the model ended the text itself, if only with its last permitted token."""
        completion = self.generation.completion if self.generation else None
        return completion is not None and completion.finish_reason == "stop"
