"""Tokens and cost of several model calls, added up by a LangChain callback.

usage = UsageCallback()
structured_reply(model, prompt, Plan, config={"callbacks": [usage]})
usage.tokens, usage.cost_usd
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks.base import BaseCallbackHandler

from seedbed.errors import ModelError

if TYPE_CHECKING:
    from langchain_core.outputs import LLMResult


class UsageCallback(BaseCallbackHandler):
    """Counts the calls to which it is passed; thread-safe.

    `cost_usd` is None once the cost of a call is unknown, and `complete` is False once its tokens
    are. Calls that failed count with what the vendor charged for them.
    """

    def __init__(self) -> None:
        self.calls = self.input_tokens = self.output_tokens = 0
        self.cost_usd: float | None = 0.0
        self.complete = True
        self._lock = threading.Lock()

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        message: Any = getattr(response.generations[0][0], "message", None)
        usage = getattr(message, "usage_metadata", None) or {}
        metadata = getattr(message, "response_metadata", {})
        self._add(usage, metadata.get("cost_usd", 0.0))
        self.complete &= usage.get("total_tokens", 0) > 0

    def on_llm_error(self, error: BaseException, **_: Any) -> None:
        if isinstance(error, ModelError):
            self._add(error.usage, error.cost_usd)
            self.complete &= bool(error.usage.get("total_tokens")) or error.cost_usd is not None

    def _add(self, usage: Any, cost_usd: float | None) -> None:
        with self._lock:
            self.calls += 1
            self.input_tokens += usage.get("input_tokens", 0)
            self.output_tokens += usage.get("output_tokens", 0)
            if cost_usd is None or self.cost_usd is None:
                self.cost_usd = None
            else:
                self.cost_usd += cost_usd
