"""Records the calls of a chat model, and answers them from the record without the model.

    model = RecordedModel(model=model, role="planner", replies=RunReplies(store, run.id))
    model = RecordedModel(role="planner", replies=RunReplies(store, run.id))     # replay

A call is found by its role, messages, tools, schema and options, and by how often it was made. A
call that is in the record is not made again, so that a resumed run does not pay for it twice.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, message_chunk_to_message
from langchain_core.outputs import ChatGenerationChunk
from sqlalchemy.exc import IntegrityError

from multi_agent.runs.replay import NotRecorded
from multi_agent.runs.store import RunStore, as_json, ledger, writing
from seedbed.errors import BadInput
from seedbed.models.chat_base import StreamingChatModel

_lock = threading.Lock()


class FileReplies:
    """A record in a JSON-lines file, for evaluations. Raises BadInput for a damaged file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.numbers: Counter[str] = Counter()
        try:
            lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
            self._replies = {entry["key"]: entry["reply"] for entry in map(json.loads, lines)}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"Cannot read the record {str(path)!r}: {error!r}.") from None

    def get(self, key: str) -> Any:
        """The reply of a call; None if it is not in the record."""
        return self._replies.get(key)

    def put(self, key: str, role: str, prompt: str, reply: Any) -> None:
        """Append a reply."""
        line = json.dumps({"key": key, "role": role, "prompt": prompt, "reply": reply})
        with _lock, self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            self._replies[key] = reply


class RunReplies:
    """A record beside the tool calls of a run."""

    def __init__(self, store: RunStore, run_id: str) -> None:
        self._engine, self._run = store.engine, run_id
        self.numbers: Counter[str] = Counter()

    def get(self, key: str) -> Any:
        """The reply of a call; None if it is not in the record."""
        query = sa.select(ledger.c.result).where(ledger.c.key == f"{self._run}/{key}")
        with self._engine.connect() as connection:
            return connection.execute(query).scalar()

    def put(self, key: str, role: str, prompt: str, reply: Any) -> None:
        """Store a reply, unless another process has."""
        row = {"run": self._run, "step": "", "name": role, "arguments": {"prompt": prompt}}
        times = {"started_at": time.time(), "ended_at": time.time()}
        row |= {"key": f"{self._run}/{key}", "result": reply}
        with suppress(IntegrityError), writing(self._engine) as connection:
            connection.execute(sa.insert(ledger).values(**row, **times))


class RecordedModel(StreamingChatModel):
    """A chat model whose calls are recorded; without a `model`, one that only replays.

    A replay raises NotRecorded at the first call that is not in the record.
    """

    replies: Any
    """FileReplies or RunReplies. The models of several roles may share one."""
    role: str
    model: BaseChatModel | None = None

    @property
    def _llm_type(self) -> str:
        return "recorded"

    def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        # 1. Find the call.
        prompts = [m.model_dump(include={"type", "content", "tool_calls"}) for m in messages]
        text = json.dumps(as_json([self.role, prompts, stop, options]), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        with _lock:
            self.replies.numbers[digest] += 1
            key = f"{digest}-{self.replies.numbers[digest]}"
        prompt = messages[-1].text[:200]
        if (reply := self.replies.get(key)) is not None:
            yield from _replay(AIMessage.model_validate(reply))
            return
        if self.model is None:
            raise NotRecorded(f"The record has no call of the {self.role} with {prompt!r}.")
        # 2. Call the model, and record the reply at its end.
        whole = AIMessageChunk(content="")
        try:
            for chunk in self._call(self.model, messages, stop, dict(options)):
                whole += chunk
                yield ChatGenerationChunk(message=chunk)
        except BaseException:
            with _lock:  # a failed call leaves its number to the next attempt
                self.replies.numbers[digest] -= 1
            raise
        message = message_chunk_to_message(whole)
        self.replies.put(key, self.role, prompt, message.model_dump(mode="json", exclude={"id"}))

    def _call(
        self, model: Any, messages: list[BaseMessage], stop: Any, options: dict[str, Any]
    ) -> Iterator[AIMessageChunk]:
        # Without callbacks of the caller, which see this model's own call already.
        config: dict[str, Any] = {"callbacks": []}
        choice = options.pop("tool_choice", None)
        if tools := options.pop("tools", None):
            model = model.bind_tools(tools, tool_choice=choice)
        if "schema" not in options or isinstance(model, StreamingChatModel):
            yield from model.stream(messages, config, stop=stop, **options)
            return
        # Vendors' models have ways of their own to follow a schema, and some do not stream then.
        structured = model.with_structured_output(options.pop("schema"), include_raw=True)
        answer = structured.invoke(messages, config)
        if answer["parsing_error"]:
            raise answer["parsing_error"]
        usage = answer["raw"].usage_metadata
        yield AIMessageChunk(content=json.dumps(answer["parsed"]), usage_metadata=usage)


def _replay(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """A recorded reply as a stream of words, and at the end the rest."""
    content: Any = message.content
    for part in re.findall(r"\s*\S+\s*", content) if isinstance(content, str) else [content]:
        yield ChatGenerationChunk(message=AIMessageChunk(content=part))
    rest = message.model_dump(exclude={"type", "content"}) | {"chunk_position": "last"}
    yield ChatGenerationChunk(message=AIMessageChunk(content="", **rest))
