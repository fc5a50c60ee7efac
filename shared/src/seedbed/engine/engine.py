"""Continuous batching on this machine: one thread owns OpenVINO's pipeline, many callers share it.

    engine = Engine(weights.ensure("smollm2"))
    prompt = engine.apply_chat_template([{"role": "user", "content": "Name three rivers."}])
    for piece in engine.submit(prompt, Sampling(max_new_tokens=40), timeout=30):
        print(piece.text, end="")

`seedbed.models.local.open_engine` shares one engine per model.
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

from seedbed.engine.detokenizer import special_tokens, token_bytes
from seedbed.engine.generation import Generation, Request, Sampling
from seedbed.engine.pipeline import BLOCK_TOKENS, generation_config, open_pipeline, token_tensor
from seedbed.errors import Busy, ContextWindowError, DeadlineExceeded, SeedbedError, Unavailable

log = logging.getLogger(__name__)


class Engine:
    """Serves any number of threads and asyncio tasks from one pipeline.

    `context_window` is the maximum number of tokens of a prompt and its answer together. One batch
    decodes `max_running` requests; `max_queue` more may wait. `cache_tokens` is the size of the KV
    cache for running requests and cached prefixes; one token takes 14 kB for a model of 135 million
    parameters. `pipeline_factory` is called with `model_dir` and the cache size; for tests.

    If a step raises, its requests fail, and the pipeline is reopened for the waiting ones.
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
        # A single request that fills the context window must fit, or it could never run.
        cache_tokens = max(cache_tokens, context_window + 2 * BLOCK_TOKENS)
        self._open: Callable[[], Any] = partial(pipeline_factory, model_dir, cache_tokens)
        self._pipeline: Any = self._open()
        self._tokenizer = self._pipeline.get_tokenizer()
        self._table = token_bytes(self._tokenizer)
        self._special = special_tokens(self._tokenizer, self._table)
        self._waiting: deque[Request] = deque()
        self._running: list[Request] = []
        self.closed = False
        self.after_step: Callable[[], None] = lambda: None
        """Called on the engine's thread after the results of each step were delivered."""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="seedbed-engine", daemon=True)
        self._thread.start()

    def submit(
        self,
        prompt: str | Sequence[int],
        sampling: Sampling | None = None,
        *,
        timeout: float | None = None,
    ) -> Generation:
        """Queue a prompt (a text or token ids); `timeout` is in seconds from now.

        Raises ContextWindowError, Busy (with `retry_after`) or Unavailable. Later errors, such as
        DeadlineExceeded, are raised when the Generation is read.
        """
        sampling = sampling or Sampling()
        ids = self.encode(prompt) if isinstance(prompt, str) else list(prompt)
        if len(ids) + sampling.max_new_tokens > self.context_window:
            raise ContextWindowError(
                f"{len(ids)} prompt tokens and up to {sampling.max_new_tokens} new tokens exceed "
                f"the context window of {self.context_window} tokens.",
                hint="Shorten the prompt, or request fewer new tokens.",
            )
        if not ids:
            raise ContextWindowError("The prompt is empty.", hint="Send at least one token.")
        request = Request(ids, sampling, timeout, self._table)
        with self._changed:
            if self.closed:
                raise _closed()
            if len(self._waiting) >= self._max_queue:
                seconds = 1.0 + len(self._waiting) // self._max_running  # about 1 s per batch
                raise Busy(
                    f"The queue of the model is full ({self._max_queue} requests).",
                    hint=f"Retry after {seconds:g} s.",
                    retry_after=seconds,
                )
            self._waiting.append(request)
            self._changed.notify_all()
        return Generation(request, self._wake)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text. Names of special tokens in it are encoded as those tokens; apply
        `without_special_tokens` to untrusted content first."""
        if not text:
            return []
        encoded = self._tokenizer.encode(text, add_special_tokens=False).input_ids
        ids: list[int] = encoded.data[0].tolist()
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, without special tokens."""
        return b"".join(self._table[i] for i in ids).decode("utf-8", "ignore")

    def without_special_tokens(self, text: str) -> str:
        """`text` with a space inside the name of each special token (`< |im_end|>`).

        Otherwise a user's message could end its turn and begin a system message.
        """
        for name in self._special:
            text = text.replace(name, f"{name[0]} {name[1:]}")
        return text

    def apply_chat_template(self, messages: Sequence[dict[str, Any]]) -> str:
        """The prompt for messages (`{"role", "content"}`), by the model's own chat template."""
        return str(self._tokenizer.apply_chat_template(list(messages), add_generation_prompt=True))

    def close(self) -> None:
        """Stop after the current step; all requests, and later ones, fail with Unavailable."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()
        self._thread.join()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # ── the engine's thread ─────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                # 1. Open the pipeline again, if the last step raised.
                if self._pipeline is None:
                    self._pipeline = self._open()
                # 2. Drop cancelled and overdue requests, then fill the batch from the queue.
                self._drop_ended()
                self._admit()
                # 3. One step of OpenVINO: a part of a prompt, or one token for each request.
                if self._pipeline.has_non_finished_requests():
                    self._pipeline.step()
                # 4. Pass the new tokens on to the callers.
                self._deliver()
                self.after_step()
            except Exception as error:
                self._recover(error)
                self.after_step()
        self._fail([*self._running, *self._waiting], _closed())
        self.after_step()
        if self._pipeline is not None and self._pipeline.has_non_finished_requests():
            self._pipeline.step()  # frees what was cancelled, or OpenVINO prints that it leaked
        self._pipeline = None

    def _wait_for_work(self) -> bool:
        """Sleep until there is a request; False once the engine is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._running or self._waiting or self.closed)
            return not self.closed

    def _drop_ended(self) -> None:
        """Remove the requests that were cancelled or are over their deadline."""
        now = time.monotonic()
        for request in [*self._running, *self._waiting]:
            if request.cancelled:
                self._remove(request)
                request.complete("cancelled")
            elif now > request.deadline:
                self._remove(request)
                request.end_with(
                    DeadlineExceeded(
                        f"The answer took longer than {request.timeout} s.",
                        hint="Allow more time, or request fewer tokens.",
                    )
                )

    def _admit(self) -> None:
        """Move requests from the queue into the pipeline, up to `max_running`."""
        while self._waiting and len(self._running) < self._max_running:
            with self._changed:
                request = self._waiting.popleft()
                self._running.append(request)
            request.handle = self._pipeline.add_request(
                id(request), token_tensor(request.prompt), generation_config(request.sampling)
            )

    def _deliver(self) -> None:
        """Read the pipeline's new tokens into the requests, and end those that are complete."""
        for request in list(self._running):
            handle = request.handle
            if not handle.can_read():
                # OpenVINO drops a request for which the KV cache has no room.
                if handle.get_status().name == "IGNORED":
                    self._remove(request)
                    request.end_with(
                        Unavailable("The KV cache of the model is full.", hint="Retry later.")
                    )
                continue
            output = next(iter(handle.read().values()))
            ids = output.generated_ids
            logprobs = output.generated_log_probs if request.sampling.logprobs else []
            request.add(ids, logprobs, request.detokenizer.push(ids))
            reason = output.finish_reason.name
            if reason != "NONE" or request.detokenizer.stopped:
                self._remove(request)
                request.complete("length" if reason == "LENGTH" else "stop")

    def _remove(self, request: Request) -> None:
        if request.handle is not None:
            request.handle.cancel()
        with self._changed:
            (self._running if request in self._running else self._waiting).remove(request)

    def _recover(self, error: Exception) -> None:
        """Drop the pipeline, whose state is undefined after an exception, and fail its requests."""
        log.error("a step of the engine failed", exc_info=error)
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        if self._pipeline is None:  # opening it failed, and would fail for the waiting ones too
            failure: SeedbedError = Unavailable(f"The model cannot be loaded: {reason}")
            failed = [*self._running, *self._waiting]
        else:
            failure = SeedbedError(
                f"The model failed while generating: {reason}", hint="Send the request again."
            )
            failed = list(self._running)
            for request in failed:
                request.handle = None  # not to be cancelled: its pipeline is gone
        self._fail(failed, failure)
        self._pipeline = None

    def _fail(self, requests: Sequence[Request], error: SeedbedError) -> None:
        for request in requests:
            self._remove(request)
            request.end_with(error)


def _closed() -> Unavailable:
    return Unavailable("The model was closed.", hint="Send the request to another server.")
