"""What the calls of a chat model cost: tokens and USD, also of calls that failed.

meter = Meter("openai:gpt-4o-mini")
model.invoke(prompt, config={"callbacks": [meter]})
meter.usage.as_json()    # {"input_tokens": 8, "output_tokens": 5, "cost_usd": 4.2e-06}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from seedbed.errors import ModelError
from seedbed.models.remote.prices import cost


@dataclass(frozen=True)
class Usage:
    """Tokens that a model read and wrote, and their price; None where it is unknown.

    >>> Usage(10, 2, 0.1) + Usage(1, 1, None)
    Usage(input_tokens=11, output_tokens=3, cost_usd=None)
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: Usage) -> Usage:
        unknown = self.cost_usd is None or other.cost_usd is None
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            None if unknown else (self.cost_usd or 0.0) + (other.cost_usd or 0.0),
        )

    def as_json(self) -> dict[str, float | None]:
        """The fields by their names."""
        return asdict(self)


class Meter(BaseCallbackHandler):
    """Adds up the usage of the calls that it is a callback of."""

    def __init__(self, spec: str) -> None:
        """`spec` is the model whose price applies where a reply does not state its cost."""
        self.spec = spec
        self.usage = Usage()

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        for generations in response.generations:
            for generation in generations[:1]:
                if isinstance(generation, ChatGeneration):
                    self._add(generation.message)

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        if isinstance(error, ModelError):
            self._count(error.usage, error.cost_usd)
        else:  # a stream that was closed early: its tokens are not reported
            self._count({}, cost(self.spec, None))

    def _add(self, message: Any) -> None:
        if not isinstance(message, AIMessage):
            return
        counts: Mapping[str, Any] = message.usage_metadata or {}
        if "cost_usd" in message.response_metadata:
            self._count(counts, message.response_metadata["cost_usd"])
        else:
            self._count(counts, cost(self.spec, counts))

    def _count(self, counts: Mapping[str, Any], cost_usd: float | None) -> None:
        read, written = (int(counts.get(f"{name}_tokens") or 0) for name in ("input", "output"))
        self.usage += Usage(read, written, cost_usd)
