"""The process of one local model: it reads requests from a socket and answers with events.

    python -m llm_service.models.local.worker FD

A step of the engine holds Python's lock until it ends (tens of milliseconds), so it runs in a
process of its own: the service stays quick, a crash brings down that model, not the service, and
unloading a model gives all of its memory back. HTTP, keys and money are left to the service.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any

from llm_service.models.local import wire
from llm_service.models.local.chat_job import ChatJob, Choice, Outbox
from llm_service.request import several
from seedbed.errors import BadInput, ContextWindowError, SeedbedError
from seedbed.observe.logs_and_traces import silence_dependencies
from seedbed.safety.secrets import reason

MAX_SCHEMAS = 200_000  # bytes of JSON
NICE = 5  # the service answers first where both want the processor
# Parameters of OpenAI's body that the chat model takes by the same name.
_OPTIONS = (
    *("temperature", "top_p", "top_k", "min_tokens", "ignore_eos"),
    *("repetition_penalty", "frequency_penalty", "presence_penalty"),
    *("max_tokens", "max_completion_tokens", "logprobs"),
    *("tools", "tool_choice", "response_format", "parallel_tool_calls"),
)


class ChatWorker:
    """Answers chats from one engine."""

    def __init__(self, spec: str, options: dict[str, Any], out: Outbox) -> None:
        from seedbed.models.local.open_engine import folder_of, open_engine, opens
        from seedbed.models.weights.catalog import Spec
        from seedbed.settings import Settings, load

        settings, opened = load(Settings), None
        if spec.startswith("path:") and not opens(folder_of(spec, settings)):
            raise BadInput(
                f"{spec!r} cannot run as a local model: no OpenVINO or GGUF files found.",
                hint="Convert the model to one of them, e.g. export an adapter with --to openvino.",
            )
        # Opening lets go of Python's lock, so imports run at the same time.
        if Spec.of(spec).is_local:
            opened = Thread(target=_quietly, args=(open_engine, spec, settings), kwargs=options)
            opened.start()
        from seedbed.engine.generation import Sampling
        from seedbed.models.load import load_chat_model
        from seedbed.models.local.local_chat import LocalChatModel

        if opened is not None:
            opened.join()
        model = load_chat_model(spec, engine_options=options)
        if not isinstance(model, LocalChatModel):
            raise BadInput(
                f"{spec!r} cannot run as a local model: no OpenVINO or GGUF files found.",
                hint='Serve it with vLLM and configure that server with backend = "openai".',
            )
        self.model = model
        self.engine = model.engine
        self.out = out
        self._jobs: dict[int, ChatJob] = {}
        self.engine.after_step = out.flush
        # Ready means: it has generated a token.
        self.engine.submit("a", Sampling(max_new_tokens=1)).result()

    def handle(self, number: int, ask: str, body: dict[str, Any]) -> None:  # noqa: ARG002
        job = ChatJob(number, self.out, self.logprobs, self.forget)
        check_size(body)
        answers = self._chat(body)
        job.choices = [Choice(job, index, answer) for index, answer in enumerate(answers)]
        self._jobs[number] = job
        for choice in job.choices:
            choice.start()
        self.out.flush()  # events from before the listeners were set

    def cancel(self, number: int) -> None:
        if number in self._jobs:
            self._jobs[number].cancel()
            self.forget(number)

    def forget(self, number: int) -> None:
        self._jobs.pop(number, None)

    def logprobs(self, piece: Any) -> list[dict[str, Any]]:
        entries = []
        for token, logprob in zip(piece.token_ids, piece.logprobs, strict=True):
            text = self.engine.decode([token])
            entries.append(
                {
                    "token": text,
                    "logprob": logprob,
                    "bytes": list(text.encode()),
                    "top_logprobs": [],
                }
            )
        return entries

    def _chat(self, body: dict[str, Any]) -> list[Any]:
        from langchain_core.messages import convert_to_messages

        try:
            messages = convert_to_messages(body["messages"])
        except (ValueError, KeyError, TypeError, NotImplementedError):
            # LangChain's errors repeat the messages, which would end up in logs.
            raise BadInput("messages: contains a message that is not understood.") from None
        arguments = {name: body[name] for name in _OPTIONS if name in body}
        arguments.setdefault("parallel_tool_calls", True)
        stop = [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop")
        try:
            answer = self.model.prepare(messages, stop, arguments)
        except ContextWindowError as error:  # its hint is for callers in Python
            hint = "Shorten the messages, or lower max_tokens."
            raise ContextWindowError(error.message, hint=hint) from None
        # With a seed the answers to one prompt differ from each other, and repeat.
        seeds = choice_seeds(body.get("seed"), body.get("n", 1))
        return [answer.with_seed(seed) for seed in seeds]


class EmbeddingWorker:
    """Turns texts into vectors."""

    def __init__(self, spec: str, options: dict[str, Any], out: Outbox) -> None:  # noqa: ARG002
        from seedbed.models.embeddings.load_embeddings import load_embeddings

        self.model: Any = load_embeddings(spec)
        self.out = out
        self.model.embed_query("a")

    def handle(self, number: int, ask: str, body: dict[str, Any]) -> None:  # noqa: ARG002
        import numpy as np

        texts = several(body["input"])
        counts = self._count(texts)
        self._check_length(counts)
        vectors = np.asarray(self.model.embed_documents(texts), dtype="<f4")
        encoded = [base64.b64encode(vector.tobytes()).decode() for vector in vectors]
        self.out.say([[number, "vectors", encoded, sum(counts)]])

    def _check_length(self, counts: Sequence[int]) -> None:
        """Refuse a text whose end the model would not read; without it, long texts look alike."""
        limit = getattr(self.model, "max_tokens", None)
        at = next((n for n, count in enumerate(counts) if limit and count > limit), None)
        if at is not None:
            raise ContextWindowError(
                f"input.{at}: {counts[at]} tokens exceed the model's limit of {limit}.",
                hint="Split the text into shorter ones.",
            )

    def _count(self, texts: list[str]) -> list[int]:
        if hasattr(self.model, "token_counts"):
            return [max(1, n) for n in self.model.token_counts(texts)]
        return [max(1, len(text) // 4) for text in texts]

    def cancel(self, number: int) -> None:
        pass  # it is done by the time this is read


def check_size(body: dict[str, Any]) -> None:
    """Refuse schemas that take seconds to compile: all clients would wait."""
    schemas = [body.get("response_format"), body.get("tools")]
    if (size := len(wire.encode(schemas))) > MAX_SCHEMAS:
        raise BadInput(
            f"The schemas of the request have {size:,} bytes; at most {MAX_SCHEMAS:,} are allowed.",
            hint="Use a simpler response_format or fewer tools.",
        )


def _quietly(work: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """Do it; what fails is raised again where it is needed."""
    with suppress(Exception):
        work(*arguments, **options)


def choice_seeds(seed: int | None, n: int) -> list[int | None]:
    """Seeds for `n` choices; two values of `seed` have none of them in common.

    Not `seed + i`: the second choice of seed 11 would be the first one of seed 12.

    >>> choice_seeds(11, 2), choice_seeds(12, 1)
    ([11, 1615280058], [12])
    """
    if seed is None:
        return [None] * n
    digests = (hashlib.sha256(f"{seed} {i}".encode()).digest() for i in range(1, n))
    return [seed % 2**31, *(int.from_bytes(digest[:4]) % 2**31 for digest in digests)]


def serve(connection: socket.socket) -> None:
    """Load the model that the first line names, then answer until the other side is gone."""
    out = Outbox(connection)
    lines = connection.makefile("rb")
    first = wire.decode(next(lines))
    make: Callable[..., Any] = EmbeddingWorker if first["kind"] == "embedding" else ChatWorker
    try:
        worker = make(first["spec"], first["options"], out)
    except SeedbedError as error:
        out.say({"failed": wire.from_error(error)})
        return
    out.say({"ready": True})
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
            failure = SeedbedError(f"The model failed on this request: {reason(error)}")
            out.say([[request["id"], "error", wire.from_error(failure)]])


def main() -> None:
    os.nice(NICE)
    silence_dependencies()
    serve(socket.socket(fileno=int(sys.argv[1])))
    os._exit(0)  # the engine's thread may be inside a long step


if __name__ == "__main__":
    main()
