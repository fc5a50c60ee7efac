"""Generates chat answers in the process of a local model: one request and its choices.

It runs on the engine's thread. `worker` loads the model and translates requests.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from llm_service.models.local import wire
from seedbed.errors import SeedbedError
from seedbed.safety.secrets import reason

TOGETHER = 0.04
"""Seconds between two events of an answer, at least."""


class Outbox:
    """Collects events and sends them in one line: from the engine's thread, after its steps.

    Tokens that follow each other within TOGETHER seconds go out in one event: 25 a second look as
    fluent as a hundred, and where service, client and engine share the cores, an event that both
    read (40 µs) delays the next token of all streams. With 16 streams on two cores an event has
    three tokens. The first token of an answer and everything but text is sent at once.
    """

    def __init__(self, connection: socket.socket, together: float = TOGETHER) -> None:
        self._connection = connection
        self._together = together
        self._events: list[wire.Frame] = []
        self._texts: dict[tuple[int, int], wire.Frame] = {}  # of `_events`, by request and choice
        self._urgent = False
        self._sent = 0.0
        self._lock = threading.Lock()

    def add(self, *event: Any) -> None:
        with self._lock:
            self._events.append(list(event))
            self._urgent = True

    def text(
        self,
        number: int,
        index: int,
        text: str,
        tokens: int,
        logprobs: list[Any] | None,
        *,
        urgent: bool = False,
    ) -> None:
        with self._lock:
            self._urgent |= urgent
            waiting = self._texts.get((number, index))
            if waiting is None:
                waiting = [number, "text", index, "", 0, []]
                self._events.append(waiting)
                self._texts[number, index] = waiting
            waiting[3] += text
            waiting[4] += tokens
            waiting[5] += logprobs or ()

    def flush(self) -> None:
        with self._lock:
            now = time.monotonic()
            if self._events and (self._urgent or now >= self._sent + self._together):
                events, self._events = self._events, []
                self._texts.clear()
                self._urgent, self._sent = False, now
                self._send(events)

    def say(self, value: Any) -> None:
        """Send something now, from whatever thread."""
        with self._lock:
            self._send(value)

    def _send(self, value: Any) -> None:
        try:
            self._connection.sendall(wire.encode(value))
        except OSError:  # the service is gone: this process has no purpose
            os._exit(0)


class Choice:
    """One choice of a request: an answer of the model, driven on the engine's thread."""

    def __init__(self, job: ChatJob, index: int, answer: Any) -> None:
        self.job = job
        self.index = index
        self.answer = answer
        self.generation: Any = None
        self.done = False

    def start(self) -> None:
        self.generation = self.answer.next_generation()
        if self.generation is None:
            self._finish()
        else:
            self.generation.listen(self._guarded)

    def cancel(self) -> None:
        self.done = True
        if self.generation is not None:
            self.generation.cancel()

    def _guarded(self) -> None:
        try:
            self._continue()
        except SeedbedError as error:
            self.job.fail(error)
        except Exception as error:  # must not reach the engine, which would restart
            self.job.fail(SeedbedError(f"Generation failed: {reason(error)}"))

    def _continue(self) -> None:
        if self.done:
            return
        pieces, outcome = self.generation.take()
        for piece in pieces:
            text = self.answer.read(piece)
            if text or piece.logprobs:
                self.job.text(self.index, text, piece)
            if self.answer.broken:
                break
        if self.answer.broken and outcome is None:
            self.generation.cancel()
        if isinstance(outcome, SeedbedError):
            raise outcome
        if outcome is not None or self.answer.broken:
            self.start()

    def _finish(self) -> None:
        self.done = True
        ending = self.answer.end()
        self.job.finish(self.index, ending)


class ChatJob:
    """One request: its choices, whose events it sends.

    `logprobs` renders a piece's log probabilities; `ended` is called with the number at the end.
    """

    def __init__(
        self,
        number: int,
        out: Outbox,
        logprobs: Callable[[Any], list[dict[str, Any]]],
        ended: Callable[[int], None],
    ) -> None:
        self.number = number
        self.out = out
        self._logprobs = logprobs
        self._ended = ended
        self.choices: list[Choice] = []
        self.begun = False

    def text(self, index: int, text: str, piece: Any) -> None:
        logprobs = self._logprobs(piece) if piece.logprobs else None
        first, self.begun = not self.begun, True
        self.out.text(self.number, index, text, len(piece.token_ids), logprobs, urgent=first)

    def finish(self, index: int, ending: Any) -> None:
        out = self.out
        if ending.calls:
            calls = [_as_openai(n, call) for n, call in enumerate(ending.calls)]
            out.add(self.number, "calls", index, calls, 0)
        elif ending.text:
            out.text(self.number, index, ending.text, 0, None)
        out.add(self.number, "finish", index, ending.reason)
        if all(choice.done for choice in self.choices):
            answers = [choice.answer for choice in self.choices]
            # Choices of one prompt share its list of tokens, which counts once.
            prompts = {id(answer.prompt): answer.prompt for answer in answers}
            read = sum(map(len, prompts.values()))
            out.add(self.number, "usage", read, sum(len(answer.tokens) for answer in answers))
            self._ended(self.number)

    def fail(self, error: SeedbedError) -> None:
        self.cancel()
        self.out.add(self.number, "error", wire.from_error(error))
        self._ended(self.number)

    def cancel(self) -> None:
        for choice in self.choices:
            choice.cancel()


def _as_openai(index: int, call: dict[str, Any]) -> dict[str, Any]:
    arguments = json.dumps(call["args"], ensure_ascii=False)
    return {
        "index": index,
        "id": call["id"],
        "type": "function",
        "function": {"name": call["name"], "arguments": arguments},
    }
