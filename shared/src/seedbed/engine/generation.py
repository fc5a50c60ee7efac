"""One generation, from both sides: the engine writes into a `Request`, callers read a `Generation`.

    generation = engine.submit("Once upon", Sampling(max_new_tokens=20, temperature=0.8))
    for piece in generation:          # or `async for`, or `generation.result()`
        print(piece.text, end="")

Handles threads, asyncio tasks and cancellation.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from seedbed.engine.detokenizer import Detokenizer
from seedbed.errors import BadInput, DeadlineExceeded, SeedbedError


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen, and when generation ends. Raises BadInput for values out of range."""

    max_new_tokens: int = 256
    """Maximum number of generated tokens."""
    temperature: float = 0.0
    """Randomness, 0 to 10; 0 always chooses the most likely token."""
    top_p: float = 1.0
    """Sample from the most likely tokens whose probabilities sum to this; 1 means from all."""
    top_k: int = 0
    """Sample from this many most likely tokens; 0 means from all."""
    seed: int | None = None
    """Seed of the random numbers, for repeatable answers; None draws one."""
    stop: tuple[str, ...] = ()
    """Strings that end the answer; they are not part of it."""
    grammar: str | None = None
    """Grammar in XGrammar's EBNF that the whole answer follows; `seedbed.structured.constrain`
    makes grammars that guarantee a JSON schema."""
    repetition_penalty: float = 1.0
    """Above 1, lowers the scores of tokens in the prompt and in the answer so far; 1 means off."""
    frequency_penalty: float = 0.0
    """Subtracted from a token's score for each time it was generated, -2 to 2; 0 means off."""
    presence_penalty: float = 0.0
    """Subtracted from a token's score once it was generated, -2 to 2; 0 means off."""
    min_new_tokens: int = 0
    """Number of tokens before which the answer cannot end by itself."""
    ignore_eos: bool = False
    """Continue after the end-of-sequence token, up to `max_new_tokens`; for benchmarks."""
    logprobs: bool = False
    """Return the log probability of each generated token."""

    def __post_init__(self) -> None:
        limits = (
            ("max_new_tokens", self.max_new_tokens >= 1, "at least 1"),
            ("temperature", 0 <= self.temperature <= 10, "between 0 and 10"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 (off) or more"),
            ("repetition_penalty", self.repetition_penalty > 0, "above 0"),
            ("frequency_penalty", -2 <= self.frequency_penalty <= 2, "between -2 and 2"),
            ("presence_penalty", -2 <= self.presence_penalty <= 2, "between -2 and 2"),
            (
                "min_new_tokens",
                0 <= self.min_new_tokens <= self.max_new_tokens,
                "between 0 and max_new_tokens",
            ),
        )
        for name, in_range, rule in limits:
            if not in_range:
                raise BadInput(f"{name}={getattr(self, name)!r} must be {rule}.")


@dataclass(frozen=True, slots=True)
class StepOutput:
    """What one step of the engine added to an answer.

    `text` is empty while the detokenizer withholds it; `token_ids` (and `logprobs`, if requested,
    one for each id) are the tokens since the previous piece.
    """

    text: str
    token_ids: Sequence[int]
    logprobs: Sequence[float] = ()


@dataclass(frozen=True)
class Completion:
    """A completed generation.

    `finish_reason` is "stop" (end of sequence, stop string or complete grammar), "length"
    (`max_new_tokens` reached) or "cancelled". `time_to_first_token` is in seconds from the
    submission.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    token_ids: list[int]
    time_to_first_token: float


class Request:
    """The engine's side. Only the engine's thread writes; callers read `pieces` and `outcome`, and
    may set `cancelled`."""

    def __init__(
        self, prompt: list[int], sampling: Sampling, timeout: float | None, table: list[bytes]
    ) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.start = time.monotonic()
        self.timeout = timeout  # seconds
        self.deadline = self.start + timeout if timeout is not None else float("inf")
        self.handle: Any = None  # OpenVINO's, while the request is in the pipeline
        self.detokenizer = Detokenizer(table, sampling.stop)
        self.token_ids: list[int] = []
        self.texts: list[str] = []
        self.time_to_first_token: float | None = None
        self.cancelled = False
        # A deque: `append` and `popleft` are atomic, so pieces are passed on without a lock.
        self.pieces: deque[StepOutput] = deque()
        self.outcome: Completion | SeedbedError | None = None
        self.changed = threading.Condition()
        self.listeners: list[Callable[[], None]] = []

    def add(self, ids: list[int], logprobs: list[float], text: str) -> None:
        """Append the tokens of one step, and wake the readers."""
        if self.time_to_first_token is None:
            self.time_to_first_token = time.monotonic() - self.start
        self.token_ids += ids
        self.texts.append(text)
        self.pieces.append(StepOutput(text, ids, logprobs))
        self.notify()

    def complete(self, reason: str) -> None:
        """End with a Completion, after the text that the detokenizer withheld."""
        rest = self.detokenizer.flush()
        if rest:
            self.add([], [], rest)
        if self.time_to_first_token is None:
            self.time_to_first_token = time.monotonic() - self.start
        self.end_with(
            Completion(
                text="".join(self.texts),
                finish_reason=reason,
                prompt_tokens=len(self.prompt),
                completion_tokens=len(self.token_ids),
                token_ids=self.token_ids,
                time_to_first_token=self.time_to_first_token,
            )
        )

    def end_with(self, outcome: Completion | SeedbedError) -> None:
        """Set the outcome, and wake the readers."""
        self.outcome = outcome
        self.handle = None
        self.notify()

    def notify(self) -> None:
        """Wake the threads that wait on `changed`, and call the listeners."""
        with self.changed:
            self.changed.notify_all()
            for listener in self.listeners:
                listener()


class Generation:
    """The caller's side, returned by `Engine.submit`.

    Iterate over it once, in a thread or an asyncio task, or wait for its `result`. Leaving the
    iteration, cancelling the waiting task and dropping the last reference all cancel the request,
    which frees its place in the engine after the current step.
    """

    def __init__(self, request: Request, wake_engine: Callable[[], None]) -> None:
        self._request = request
        self._wake_engine = wake_engine

    @property
    def completion(self) -> Completion | None:
        """The completed generation; None until then, and after an error."""
        outcome = self._request.outcome
        return outcome if isinstance(outcome, Completion) else None

    def cancel(self) -> None:
        """End the generation with the text generated so far; no effect after its end."""
        if self._request.outcome is None:
            self._request.cancelled = True
            self._wake_engine()

    def __del__(self) -> None:
        if hasattr(self, "_request"):
            self.cancel()

    def listen(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the engine's thread whenever `take` has something new.

        For callers without a thread or task per generation. The callback must be quick, since it
        delays the engine's next step, and must not raise.
        """
        with self._request.changed:
            self._request.listeners.append(callback)
            if self._request.pieces or self._request.outcome:
                callback()

    def take(self) -> tuple[list[StepOutput], Completion | SeedbedError | None]:
        """The pieces since the last call, and the outcome once there is one. Does not wait."""
        pieces: list[StepOutput] = []
        outcome = self._request.outcome  # before the pieces: none is added after the outcome
        while self._request.pieces:
            pieces.append(self._request.pieces.popleft())
        return pieces, outcome

    def __iter__(self) -> Iterator[StepOutput]:
        request = self._request
        try:
            while True:
                with request.changed:
                    request.changed.wait_for(lambda: request.pieces or request.outcome)
                pieces, outcome = self.take()
                yield from pieces
                if outcome is not None:
                    return self._raise_error()
        finally:
            self.cancel()

    async def __aiter__(self) -> AsyncIterator[StepOutput]:
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed in the meantime
                loop.call_soon_threadsafe(changed.set)

        self.listen(wake)
        try:
            while True:
                await changed.wait()
                changed.clear()  # before reading: a later change sets it again
                pieces, outcome = self.take()
                for piece in pieces:
                    yield piece
                if outcome is not None:
                    self._raise_error()
                    return
        finally:
            self.cancel()

    def result(self, timeout: float | None = None) -> Completion:
        """Wait for the completion.

        Raises the error that ended the generation, or DeadlineExceeded after `timeout` seconds; in
        that case the generation continues.
        """
        with self._request.changed:
            self._request.changed.wait_for(lambda: self._request.outcome, timeout)
        self._raise_error()
        if not isinstance(self._request.outcome, Completion):
            raise DeadlineExceeded("The answer is not complete yet.", hint="Allow more time.")
        return self._request.outcome

    def _raise_error(self) -> None:
        if isinstance(self._request.outcome, SeedbedError):
            raise self._request.outcome
