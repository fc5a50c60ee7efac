"""A local chat model without weights: OpenVINO's pipeline is replaced by one that has a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seedbed.engine.engine import Engine
from seedbed.models.local.local_chat import LocalChatModel

START = "\x01"


class ByteTokenizer:
    """One token per byte."""

    def get_vocab(self) -> dict[bytes, int]:
        return {bytes([n]): n for n in range(256)}

    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode("utf-8", "ignore")

    def encode(self, text: str, **_: Any) -> Any:
        import numpy as np

        ids = np.array([list(text.encode())])
        return SimpleNamespace(input_ids=SimpleNamespace(data=ids))

    def apply_chat_template(self, messages: list[Any], **_: Any) -> str:
        return "".join(f"{m['role']}: {m['content']}\n" for m in messages) + START


class Handle:
    """A request that gets one token of its text with each step, then the end of sequence."""

    def __init__(self, ids: list[int], limit: int) -> None:
        self.ids, self.limit, self.sent, self.done, self.waiting = ids, limit, 0, False, False

    def step(self) -> None:
        self.waiting = not self.done

    def can_read(self) -> bool:
        return self.waiting

    def read(self) -> dict[int, Any]:
        ids, self.waiting = self.ids[self.sent : self.sent + 1], False
        self.sent += 1
        ended = self.sent >= len(self.ids)
        reason = "STOP" if ended else "LENGTH" if self.sent >= self.limit else "NONE"
        self.done = reason != "NONE"
        output = SimpleNamespace(
            generated_ids=ids,
            generated_log_probs=[-0.5] * len(ids),
            finish_reason=SimpleNamespace(name=reason),
        )
        return {0: output}

    def get_status(self) -> Any:
        return SimpleNamespace(name="RUNNING")

    def cancel(self) -> None:
        self.done = True


class ScriptedPipeline:
    """Writes `text` after any prompt; continues it if the prompt ends with its beginning."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.prompts: list[str] = []
        self.handles: list[Handle] = []

    def get_tokenizer(self) -> ByteTokenizer:
        return ByteTokenizer()

    def add_request(self, _: int, prompt: Any, config: Any) -> Handle:
        text = bytes(prompt.data[0].tolist()).decode()
        self.prompts.append(text)
        begun = text.rpartition(START)[2]
        rest = self.text.removeprefix(begun)
        handle = Handle(list(rest.encode()), config.max_new_tokens)
        self.handles.append(handle)
        return handle

    def has_non_finished_requests(self) -> bool:
        return any(not handle.done for handle in self.handles)

    def step(self) -> None:
        for handle in self.handles:
            handle.step()


Writes = Callable[..., LocalChatModel]


@pytest.fixture
def model_that_writes() -> Iterator[Writes]:
    """A function: a model whose replies are the text, which its options do not influence."""
    engines: list[Engine] = []

    def make(text: str, **fields: Any) -> LocalChatModel:
        pipeline = ScriptedPipeline(text)
        engine = Engine(Path("none"), pipeline_factory=lambda *_: pipeline)
        engines.append(engine)
        return LocalChatModel(engine=engine, **fields)

    yield make
    for engine in engines:
        engine.close()
