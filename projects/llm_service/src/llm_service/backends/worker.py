"""The process of one local model: it reads requests from a socket and answers with events.

    python -m llm_service.backends.worker FD

A step of the engine holds Python's lock until it ends (tens of milliseconds), so it runs in a
process of its own: the service stays quick, a crash takes one model along and not the service, and
unloading a model gives all of its memory back. It knows no HTTP, no keys and no money.
"""

from __future__ import annotations

import base64
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from threading import Thread
from typing import Any

from llm_service.ask import several
from llm_service.backends import wire
from llm_service.backends.jobs import ChatJob, Choice, Outbox
from seedbed.errors import BadInput, ContextWindowError, SeedbedError
from seedbed.guardrails import reason
from seedbed.observe.startup import silence_dependencies

PREPARE_SECONDS = 3.0  # of a request: its prompt and its schema
NICE = 5  # the service answers first where both want the processor
# What of OpenAI's body goes into the turn of a chat model, by the same name.
_OPTIONS = (
    *("max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "logprobs"),
    *("repetition_penalty", "frequency_penalty", "presence_penalty", "min_tokens", "ignore_eos"),
    *("tools", "tool_choice", "response_format", "parallel_tool_calls"),
)


class ChatWorker:
    """Answers chats and texts from one engine."""

    def __init__(self, spec: str, options: dict[str, Any], out: Outbox) -> None:
        from seedbed.models.open_engine import folder_of, is_local, open_engine, opens
        from seedbed.settings import Settings, load

        settings, opened = load(Settings), None
        if spec.startswith("path:") and not opens(folder_of(spec, settings)):
            raise BadInput(
                f"{spec!r} cannot be served in this process: it has no OpenVINO or GGUF files.",
                hint="Make them with: finetune-lora export --adapter DIR --to openvino",
            )
        if is_local(spec):  # opening lets go of Python's lock, so imports go on meanwhile
            opened = Thread(target=_quietly, args=(open_engine, spec, settings), kwargs=options)
            opened.start()
        from seedbed.engine.engine import Sampling
        from seedbed.models.chat import LocalChatModel, load_chat_model

        if opened is not None:
            opened.join()
        model = load_chat_model(spec, engine_options=options)
        if not isinstance(model, LocalChatModel):
            raise BadInput(
                f"{spec!r} cannot be served in this process: it has no OpenVINO or GGUF files.",
                hint='Serve it with vLLM and name that with backend = "openai".',
            )
        self.model = model
        self.engine = model.engine
        self.out = out
        self._jobs: dict[int, ChatJob] = {}
        self.engine.after_step = out.flush
        # Ready means: it has generated a token.
        self.engine.submit("a", Sampling(max_new_tokens=1)).result()

    @property
    def about(self) -> dict[str, Any]:
        return {"context_window": self.engine.context_window}

    def handle(self, number: int, ask: str, body: dict[str, Any]) -> None:
        job = ChatJob(number, self)
        with _time_limit(PREPARE_SECONDS):
            turns = self._chat(body) if ask == "chat" else self._texts(body)
        job.choices = [Choice(job, index, turn) for index, turn in enumerate(turns)]
        self._jobs[number] = job
        for choice in job.choices:
            choice.start()
        self.out.flush()  # what had come before anybody listened

    def cancel(self, number: int) -> None:
        if number in self._jobs:
            self._jobs[number].cancel()
            self.forget(number)

    def forget(self, number: int) -> None:
        self._jobs.pop(number, None)

    def logprobs(self, piece: Any) -> list[dict[str, Any]]:
        found = []
        for token, logprob in zip(piece.token_ids, piece.logprobs, strict=True):
            text = self.engine.decode([token])
            found.append(
                {
                    "token": text,
                    "logprob": logprob,
                    "bytes": list(text.encode()),
                    "top_logprobs": [],
                }
            )
        return found

    def _chat(self, body: dict[str, Any]) -> list[Any]:
        from langchain_core.messages import convert_to_messages

        try:
            messages = convert_to_messages(body["messages"])
        except (ValueError, KeyError, TypeError, NotImplementedError) as error:
            raise BadInput(f"messages: {reason(error)}") from None
        given = {name: body[name] for name in _OPTIONS if name in body}
        given.setdefault("parallel_tool_calls", True)
        try:
            turn = self.model.turn(messages, _as_list(body.get("stop")), given)
        except ContextWindowError as error:  # its hint is for callers in Python
            hint = "Shorten the messages, or ask for fewer new tokens."
            raise ContextWindowError(error.message, hint=hint) from None
        return _choices(turn, body)

    def _texts(self, body: dict[str, Any]) -> list[Any]:
        """Turns of plain prompts, without a chat template: choice p * n + i is the i-th of prompt
        p."""
        from seedbed.engine.engine import Sampling
        from seedbed.models.answer_in_progress import Turn

        sampling = Sampling(
            max_new_tokens=body.get("max_tokens", 16),
            temperature=body.get("temperature", 0.0),
            top_p=body.get("top_p", 1.0),
            top_k=body.get("top_k", 0),
            stop=tuple(_as_list(body.get("stop")) or ()),
            repetition_penalty=body.get("repetition_penalty", 1.0),
            frequency_penalty=body.get("frequency_penalty", 0.0),
            presence_penalty=body.get("presence_penalty", 0.0),
            min_new_tokens=body.get("min_tokens", 0),
            ignore_eos=body.get("ignore_eos", False),
            logprobs=body.get("logprobs") is not None,
        )
        turns: list[Any] = []
        for prompt in several(body["prompt"]):
            ids = self.engine.encode(prompt) if isinstance(prompt, str) else list(prompt)
            if not ids:
                empty = BadInput("prompt: is empty.", hint="Send some text.")
                empty.details |= {"param": "prompt", "code": "invalid_value"}
                raise empty
            self._check_ids(ids)
            turn = Turn(
                engine=self.engine,
                prompt=ids,
                sampling=sampling,
                deadline=None,
                grammar=None,
                constraint=None,
                tools=[],
                about={},
            )
            turns += _choices(turn, body)
        return turns

    def _check_ids(self, ids: Sequence[int]) -> None:
        if wrong := [i for i in ids if not 0 <= i < self.engine.vocabulary_size]:
            raise BadInput(f"prompt: {wrong[0]} is no token of this model.")


class EmbeddingWorker:
    """Turns texts into vectors."""

    def __init__(self, spec: str, options: dict[str, Any], out: Outbox) -> None:  # noqa: ARG002
        from seedbed.models.embeddings import load_embeddings

        self.model: Any = load_embeddings(spec)
        self.out = out
        self.model.embed_query("a")

    @property
    def about(self) -> dict[str, Any]:
        return {}

    def handle(self, number: int, ask: str, body: dict[str, Any]) -> None:  # noqa: ARG002
        import numpy as np

        texts = several(body["input"])
        if not all(isinstance(text, str) for text in texts):
            raise BadInput("input: token ids are not read by this model.", hint="Send text.")
        vectors = np.asarray(self.model.embed_documents(texts), dtype="<f4")
        tokens = sum(self._count(texts))
        encoded = [base64.b64encode(vector.tobytes()).decode() for vector in vectors]
        self.out.say([[number, "vectors", encoded, tokens]])

    def _count(self, texts: list[str]) -> list[int]:
        if hasattr(self.model, "token_counts"):
            return [max(1, n) for n in self.model.token_counts(texts)]
        return [max(1, len(text) // 4) for text in texts]

    def cancel(self, number: int) -> None:
        pass  # it is done by the time this is read


class _TooSlow(BaseException):
    """Not an Exception: nothing on the way may take it for one of its own."""


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Give up a block of Python that takes longer: a schema can take for ever to compile, and
    this thread reads everybody's requests. In the main thread, where signals arrive, only.
    """
    if not hasattr(signal, "setitimer"):  # Windows
        yield
        return

    armed = True

    def give_up(*_: Any) -> None:
        if armed:
            raise _TooSlow

    signal.signal(signal.SIGALRM, give_up)
    try:
        try:
            # Again and again: a library may swallow the first one.
            signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)
            yield
        finally:
            armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _TooSlow:
        raise BadInput(
            f"The request cannot be prepared within {seconds:g} s: its schema is too large.",
            hint="Use a simpler response_format or fewer tools.",
        ) from None


def _quietly(work: Callable[..., object], *given: Any, **options: Any) -> None:
    """Do it; what fails is raised again where it is needed."""
    with suppress(Exception):
        work(*given, **options)


def _as_list(stop: str | list[str] | None) -> list[str] | None:
    return [stop] if isinstance(stop, str) else stop


def _choices(turn: Any, body: dict[str, Any]) -> list[Any]:
    """The `n` turns of one prompt. Those of a seeded request differ from each other, and repeat."""
    seed = body.get("seed")
    seeds = [None if seed is None else (seed + i) % 2**31 for i in range(body.get("n", 1))]
    return [
        replace(turn, sampling=replace(turn.sampling, seed=seed), tokens=[], logprobs=[])
        for seed in seeds
    ]


def serve(connection: socket.socket) -> None:
    """Load the model that the first line names, then answer until the other side is gone."""
    out = Outbox(connection)
    lines = connection.makefile("rb")
    import openvino_genai  # noqa: F401  while it may not be known yet what to load

    import seedbed.models.open_engine  # noqa: F401

    line = next(lines, None)
    if line is None:  # nobody wants it any more
        return
    first = wire.decode(line)
    make: Callable[..., Any] = EmbeddingWorker if first["kind"] == "embedding" else ChatWorker
    try:
        worker = make(first["spec"], first["options"], out)
    except SeedbedError as error:
        out.say({"failed": wire.from_error(error)})
        return
    out.say({"ready": worker.about})
    for line in lines:
        request = wire.decode(line)
        if "cancel" in request:
            worker.cancel(request["id"])
            continue
        try:
            worker.handle(request["id"], request["ask"], request["body"])
        except SeedbedError as error:
            worker.cancel(request["id"])
            out.say([[request["id"], "error", wire.from_error(error)]])
        except Exception as error:
            worker.cancel(request["id"])
            failure = SeedbedError(f"The model failed on this: {reason(error)}")
            out.say([[request["id"], "error", wire.from_error(failure)]])


def main() -> None:
    os.nice(NICE)
    silence_dependencies()
    serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)  # the engine's thread may be inside a long step


if __name__ == "__main__":
    main()
