"""The record that data, training and evaluation share: a conversation with its right answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from seedbed.errors import SeedbedError

Message = dict[str, str]
"""`role` (system, user or assistant) and `content`."""


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation that ends with the assistant; every message of the assistant is learned.

    `label` is set for rows of text and label, and then is the answer. `tags` name the slices of an
    evaluation the example belongs to (`{"noise": "typos"}`). `line` is its line in the file, from
    1; 0 for an example that is not from a file.
    """

    messages: tuple[Message, ...]
    label: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    line: int = 0

    @property
    def prompt(self) -> tuple[Message, ...]:
        """The messages before the answer."""
        return self.messages[:-1]

    @property
    def answer(self) -> str:
        """The content of the last message, the right answer."""
        return self.messages[-1]["content"]

    @property
    def text(self) -> str:
        """The last message of the user; empty without one."""
        requests = (m["content"] for m in reversed(self.prompt) if m["role"] == "user")
        return next(requests, "")


@dataclass(frozen=True)
class Dataset:
    """Examples of one file or hub dataset.

    `labels` (sorted) are there for classification only. `rejected` are the invalid rows (line and
    error); `disliked` counts answers that were left out, as they were rated down or not at all.
    """

    examples: tuple[Example, ...]
    labels: tuple[str, ...] = ()
    source: str = ""
    sha256: str = ""
    format: str = ""
    rejected: tuple[tuple[int, SeedbedError], ...] = ()
    disliked: int = 0
    revision: str = ""
    licence: str = ""

    @property
    def is_classification(self) -> bool:
        return bool(self.labels)

    def __len__(self) -> int:
        return len(self.examples)

    def with_system(self, system: str | None) -> Dataset:
        """The dataset with a system message in chats that have none; as it is for labels."""
        if not system or self.is_classification:
            return self
        message = {"role": "system", "content": system}
        examples = (
            e if e.messages[0]["role"] == "system" else replace(e, messages=(message, *e.messages))
            for e in self.examples
        )
        return replace(self, examples=tuple(examples))
