"""One generation, seen from both sides: what was asked for, what came, and who waits for it.

It knows threads and asyncio tasks, and no pipeline: the engine writes into a `Request`.
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

from seedbed.engine.detokenize import Detokenizer
from seedbed.errors import BadInput, DeadlineExceeded, SeedbedError


@dataclass(frozen=True)
class Sampling:
    """How to choose tokens, and when to stop. `temperature` 0 takes the most likely one.

    At most one of `json_schema` (a JSON text), `regex` and `grammar` (EBNF) constrains the text.
    They go to the grammar compiler as they are; `constrain` makes grammars that it accepts.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: str | None = None
    regex: str | None = None
    grammar: str | None = None
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    min_new_tokens: int = 0
    ignore_eos: bool = False
    logprobs: bool = False

    def __post_init__(self) -> None:
        limits = (
            ("max_new_tokens", self.max_new_tokens >= 1, "at least 1"),
            ("temperature", 0 <= self.temperature <= 10, "between 0 and 10"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k >= 0, "0 (off) or more"),
            ("repetition_penalty", self.repetition_penalty > 0, "above 0"),
            ("frequency_penalty", -2 <= self.frequency_penalty <= 2, "between -2 and 2"),
            ("presence_penalty", -2 <= self.presence_penalty <= 2, "between -2 and 2"),
            ("min_new_tokens", 0 <= self.min_new_tokens <= self.max_new_tokens, "≤ max_new_tokens"),
        )
        for name, fine, rule in limits:
            if not fine:
                raise BadInput(f"{name}={getattr(self, name)!r} must be {rule}.")
        if sum(x is not None for x in (self.json_schema, self.regex, self.grammar)) > 1:
            raise BadInput("Only one of json_schema, regex and grammar can constrain an answer.")


@dataclass(frozen=True, slots=True)
class Piece:
    """Text that became certain, and the tokens since the piece before; the text may be empty."""

    text: str
    token_ids: Sequence[int]
    logprobs: Sequence[float] = ()


@dataclass(frozen=True)
class Completion:
    """A finished generation. `finish_reason`: stop, length or cancelled; times in seconds."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    token_ids: list[int]
    logprobs: list[float]
    time_to_first_token: float
    seconds: float


class Request:
    """The engine's side of a generation. The engine's thread writes, consumers read and cancel."""

    def __init__(
        self, prompt: list[int], sampling: Sampling, deadline: float | None, table: list[bytes]
    ) -> None:
        self.prompt = prompt
        self.sampling = sampling
        self.start = time.monotonic()
        self.allowed = deadline
        self.end = self.start + deadline if deadline is not None else float("inf")
        self.handle: Any = None
        self.detokenizer = Detokenizer(table, sampling.stop)
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self.texts: list[str] = []
        self.first: float | None = None
        self.cancelled = False
        self.pieces: deque[Piece] = deque()
        self.outcome: Completion | SeedbedError | None = None
        self.changed = threading.Condition()
        self.wakers: list[Callable[[], None]] = []

    def add(self, ids: list[int], logprobs: list[float], text: str) -> None:
        if self.first is None:
            self.first = time.monotonic() - self.start
        self.token_ids += ids
        self.logprobs += logprobs
        if text:
            self.texts.append(text)
        self.pieces.append(Piece(text, ids, logprobs))
        self.wake()

    def finish(self, reason: str) -> None:
        rest = self.detokenizer.flush()
        if rest:
            self.add([], [], rest)
        seconds = time.monotonic() - self.start
        self.end_with(
            Completion(
                text="".join(self.texts),
                finish_reason=reason,
                prompt_tokens=len(self.prompt),
                completion_tokens=len(self.token_ids),
                token_ids=self.token_ids,
                logprobs=self.logprobs,
                time_to_first_token=self.first if self.first is not None else seconds,
                seconds=seconds,
            )
        )

    def end_with(self, outcome: Completion | SeedbedError) -> None:
        self.outcome = outcome
        self.handle = None
        self.wake()

    def wake(self) -> None:
        with self.changed:
            self.changed.notify_all()
            for waker in self.wakers:
                waker()


class Generation:
    """A consumer's side. Iterate it once, in a thread or a task, or wait for its `result`.

    Leaving the iteration, cancelling the task that waits, or dropping the last reference to it
    frees the slot at the engine's next step.
    """

    def __init__(self, request: Request, wake_engine: Callable[[], None]) -> None:
        self._request = request
        self._wake_engine = wake_engine

    @property
    def outcome(self) -> Completion | None:
        """The completion, once it is there."""
        outcome = self._request.outcome
        return outcome if isinstance(outcome, Completion) else None

    def cancel(self) -> None:
        if self._request.outcome is None:
            self._request.cancelled = True
            self._wake_engine()

    def __del__(self) -> None:
        if hasattr(self, "_request"):
            self.cancel()

    def listen(self, callback: Callable[[], None]) -> None:
        """Have `callback` called on the engine's thread when something came; `take` has it.

        For a consumer without a thread or task of its own. It must be quick and raise nothing.
        """
        with self._request.changed:
            self._request.wakers.append(callback)
            if self._request.pieces or self._request.outcome:
                callback()

    def take(self) -> tuple[list[Piece], Completion | SeedbedError | None]:
        """The pieces that came since, and the end if it is there."""
        pieces: list[Piece] = []
        outcome = self._request.outcome  # read first: pieces come before it
        while self._request.pieces:
            pieces.append(self._request.pieces.popleft())
        return pieces, outcome

    def __iter__(self) -> Iterator[Piece]:
        request = self._request
        try:
            while True:
                with request.changed:
                    request.changed.wait_for(lambda: request.pieces or request.outcome)
                while request.pieces:
                    yield request.pieces.popleft()
                if request.outcome and not request.pieces:
                    self._raise_error()
                    return
        finally:
            self.cancel()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        request = self._request
        try:
            async with _woken(request) as changed:
                while True:
                    changed.clear()
                    while request.pieces:
                        yield request.pieces.popleft()
                    if request.outcome and not request.pieces:
                        self._raise_error()
                        return
                    if not request.pieces:
                        await changed.wait()
        finally:
            self.cancel()

    def result(self, timeout: float | None = None) -> Completion:
        """Wait for the end. DeadlineExceeded after `timeout` seconds; the generation goes on."""
        with self._request.changed:
            self._request.changed.wait_for(lambda: self._request.outcome, timeout)
        return self._completion()

    async def aresult(self) -> Completion:
        try:
            async with _woken(self._request) as changed:
                while self._request.outcome is None:
                    changed.clear()
                    await changed.wait()
        finally:
            self.cancel()
        return self._completion()

    def _completion(self) -> Completion:
        self._raise_error()
        if not isinstance(self._request.outcome, Completion):
            raise DeadlineExceeded("The answer is not finished yet.", hint="Wait longer.")
        return self._request.outcome

    def _raise_error(self) -> None:
        if isinstance(self._request.outcome, SeedbedError):
            raise self._request.outcome


@contextlib.asynccontextmanager
async def _woken(request: Request) -> AsyncIterator[asyncio.Event]:
    """An event of the running loop that the engine's thread sets whenever something came."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def waker() -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(event.set)

    with request.changed:
        request.wakers.append(waker)
    try:
        event.set()
        yield event
    finally:
        with request.changed:
            request.wakers.remove(waker)
