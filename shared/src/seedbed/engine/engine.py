"""Continuous batching on this machine: one thread owns OpenVINO's pipeline, anybody may ask it.

It knows prompts, tokens and limits. It knows no messages, schemas or tools: that is `chat`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from seedbed.engine.detokenize import special_tokens, token_bytes
from seedbed.engine.generation import Completion, Generation, Piece, Request, Sampling
from seedbed.engine.pipeline import BLOCK_TOKENS, generation_config, open_pipeline, tensor
from seedbed.errors import (
    Busy,
    ContextWindowError,
    DeadlineExceeded,
    SeedbedError,
    Unavailable,
)

__all__ = ["Completion", "Engine", "Generation", "Piece", "Sampling"]

log = logging.getLogger(__name__)


class Engine:
    """Serves any number of threads and asyncio tasks from one pipeline.

    At most `max_running` requests decode together and `max_queue` wait; prompt and answer fit in
    `context_window` tokens. `cache_tokens` bounds the memory for the keys and values of running
    requests and of cached prefixes (a 135M model takes 14 kB a token). When a step fails, the
    requests in it fail and the pipeline is opened anew for those that wait.
    """

    def __init__(
        self,
        model_dir: Path,
        *,
        context_window: int = 8192,
        max_queue: int = 64,
        max_running: int = 16,
        cache_tokens: int = 16384,
        pipeline_factory: Callable[[Path, int], Any] = open_pipeline,
    ) -> None:
        self.model_dir = model_dir
        self.context_window = context_window
        self._max_queue = max_queue
        self._max_running = max_running
        # One request that fills the window must fit, or it could never run.
        room = max(cache_tokens, context_window + 2 * BLOCK_TOKENS)
        self._open: Callable[[], Any] = partial(pipeline_factory, model_dir, room)
        self._pipeline: Any = self._open()
        self._tokenizer = self._pipeline.get_tokenizer()
        self._table = token_bytes(self._tokenizer)
        self._special = special_tokens(self._tokenizer, self._table)
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []
        self._counts = {"finished": 0, "failed": 0, "tokens": 0, "restarts": 0}
        self._seconds = 1.0  # of a typical request: a running mean, for Retry-After
        self._state = "serving"  # then "draining" or "closed"
        self.after_step: Callable[[], None] = lambda: None
        """Called on the engine's thread when all that a step made has been delivered."""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="seedbed-engine", daemon=True)
        self._thread.start()

    def submit(
        self,
        prompt: str | Sequence[int],
        sampling: Sampling | None = None,
        *,
        deadline: float | None = None,
    ) -> Generation:
        """Queue a prompt; `deadline` is in seconds from now.

        Raises ContextWindowError, Busy (with `retry_after`) or Unavailable; what goes wrong
        later is raised where the Generation is read.
        """
        sampling = sampling or Sampling()
        ids = self.encode(prompt) if isinstance(prompt, str) else list(prompt)
        self._check_size(len(ids), sampling.max_new_tokens)
        request = Request(ids, sampling, deadline, self._table)
        with self._changed:
            if self._state != "serving":
                raise Unavailable(f"The model is {self._state}.", hint="Try another server.")
            if len(self._waiting) >= self._max_queue:
                turns = (len(self._waiting) + 1) / self._max_running
                raise Busy(
                    f"{len(self._waiting)} requests wait already.",
                    hint="Try again later.",
                    retry_after=round(max(1.0, turns * self._seconds), 1),
                )
            self._waiting.append(request)
            self._changed.notify_all()
        return Generation(request, self._wake)

    def encode(self, text: str) -> list[int]:
        """Token ids; the names of special tokens in `text` become these tokens."""
        if not text:
            return []
        tensor = self._tokenizer.encode(text, add_special_tokens=False).input_ids
        ids: list[int] = tensor.data[0].tolist()
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of `ids`, special tokens left out."""
        return b"".join(self._table[i] for i in ids).decode("utf-8", "ignore")

    @property
    def vocabulary_size(self) -> int:
        """Token ids are below it."""
        return len(self._table)

    def without_special_tokens(self, text: str) -> str:
        """`text` with the names of special tokens broken up: content cannot pose as structure."""
        for name in self._special:
            if name in text:
                text = text.replace(name, f"{name[0]} {name[1:]}")
        return text

    def count_tokens(self, text: str) -> int:
        return len(self.encode(text))

    def apply_chat_template(
        self, messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] | None = None
    ) -> str:
        """The prompt that the model's own template makes of messages, ready for its answer."""
        arguments = {"tools": list(tools)} if tools else {}
        return str(
            self._tokenizer.apply_chat_template(
                list(messages), add_generation_prompt=True, **arguments
            )
        )

    def stats(self) -> dict[str, int]:
        """How many requests run and wait now, and what happened so far."""
        with self._changed:
            return {"running": len(self._running), "waiting": len(self._waiting), **self._counts}

    def drain(self, timeout: float | None = None) -> bool:
        """Refuse what is new and wait for the rest; False if that took over `timeout` seconds."""
        with self._changed:
            if self._state == "serving":
                self._state = "draining"
            return self._changed.wait_for(lambda: not (self._waiting or self._running), timeout)

    @property
    def closed(self) -> bool:
        return self._state == "closed"

    def close(self) -> None:
        """End now: what still runs or waits fails with Unavailable. May be called twice."""
        with self._changed:
            self._state = "closed"
            self._changed.notify_all()
        self._thread.join()

    def _check_size(self, prompt: int, new: int) -> None:
        if prompt + new > self.context_window:
            raise ContextWindowError(
                f"{prompt} prompt tokens and {new} new ones exceed the model's "
                f"{self.context_window}.",
                hint="Shorten the prompt, or ask for fewer new tokens.",
            )
        if not prompt:
            raise ContextWindowError("The prompt is empty.", hint="Send at least one token.")

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # ── the engine's thread ─────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while self._has_work():
            try:
                if self._pipeline is None:
                    self._pipeline = self._open()
                self._sweep()
                self._admit()
                if self._pipeline.has_non_finished_requests():
                    self._pipeline.step()
                self._deliver()
                self.after_step()
            except Exception as error:
                self._recover(error)
                self.after_step()
        self._fail_all(Unavailable("The model was closed.", hint="Try another server."))
        self.after_step()
        self._pipeline = None

    def _has_work(self) -> bool:
        with self._changed:
            if not (self._running or self._waiting):
                self._changed.notify_all()  # whoever drains
            self._changed.wait_for(
                lambda: self._running or self._waiting or self._state == "closed"
            )
            return self._state != "closed"

    def _sweep(self) -> None:
        """Let go of the requests that nobody waits for any more or whose time is over."""
        now = time.monotonic()
        for request in [*self._running, *self._waiting]:
            if request.cancelled:
                self._remove(request)
                request.finish("cancelled")
            elif now > request.end:
                self._remove(request)
                request.end_with(
                    DeadlineExceeded(
                        f"The answer took longer than {request.allowed} s.",
                        hint="Allow more time, or ask for fewer tokens.",
                    )
                )

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._max_running:
            with self._changed:
                request = self._waiting.popleft()
                self._running.append(request)
            request.handle = self._pipeline.add_request(
                id(request), tensor(request.prompt), generation_config(request.sampling)
            )

    def _deliver(self) -> None:
        for request in list(self._running):
            handle = request.handle
            if not handle.can_read():
                if handle.get_status().name == "IGNORED":
                    self._remove(request)
                    request.end_with(Unavailable("The cache is full.", hint="Try again later."))
                continue
            output = next(iter(handle.read().values()))
            ids = output.generated_ids
            logprobs = output.generated_log_probs if request.sampling.logprobs else []
            request.add(ids, logprobs, request.detokenizer.push(ids))
            reason = output.finish_reason.name
            if reason != "NONE" or request.detokenizer.stopped:
                self._remove(request)
                self._note(request)
                request.finish("length" if reason == "LENGTH" else "stop")

    def _remove(self, request: Request) -> None:
        if request.handle is not None:
            request.handle.cancel()
        with self._changed:
            (self._running if request in self._running else self._waiting).remove(request)

    def _note(self, request: Request) -> None:
        self._counts["finished"] += 1
        self._counts["tokens"] += len(request.token_ids)
        self._seconds += 0.1 * (time.monotonic() - request.start - self._seconds)

    def _recover(self, error: Exception) -> None:
        """The pipeline's state is unknown after an exception: drop it, and fail what ran in it."""
        log.error("a step of the engine failed", exc_info=error)
        reason = str(error).strip().splitlines()[-1] if str(error) else type(error).__name__
        if self._pipeline is None:  # it does not even open: nobody can be served
            self._fail_all(Unavailable(f"The model cannot be loaded: {reason}"))
        else:
            failure = SeedbedError(f"The model failed on this: {reason}", hint="Try again.")
            self._fail(list(self._running), failure)
        self._pipeline = None
        self._counts["restarts"] += 1

    def _fail_all(self, error: SeedbedError) -> None:
        self._fail([*self._running, *self._waiting], error)

    def _fail(self, requests: Sequence[Request], error: SeedbedError) -> None:
        for request in requests:
            request.handle = None  # it belongs to a pipeline that goes
            self._remove(request)
            self._counts["failed"] += 1
            request.end_with(error)
