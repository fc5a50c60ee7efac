"""The chat model of a run: within its budget, ended by its stop, and recorded.

    ledger = Ledger(store, run.id)                                # one for all roles of the run
    model = RecordedModel(role="planner", model=model, ledger=ledger, budget=budget)

A call is identified by its role, messages, tools, schema and options, and by how often it was made.
A call that is in the record is not made again, so that a resumed run does not pay for it twice.
"""

from __future__ import annotations

import hashlib
import json
import math
import secrets
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, message_chunk_to_message
from langchain_core.outputs import ChatGenerationChunk
from pydantic import Field

from multi_agent.runs.budget import Budget
from multi_agent.runs.ledger import Ledger
from multi_agent.runs.store import as_json
from seedbed.errors import ModelError, ModelTimeout, SeedbedError
from seedbed.models.base import StreamingChatModel
from seedbed.models.remote.prices import cost, price
from seedbed.models.remote.remote_chat import RemoteChatModel

MAX_REPLY = 8_192
"""Tokens of a reply, reasoning included. Vendors refuse a limit above the largest of the model."""


class Stopped(SeedbedError):
    """The run was stopped during a call of its model."""


class RecordedModel(StreamingChatModel):
    """A chat model within the budget of a run, whose calls are recorded.

    A call raises OverBudget if the budget is used up, and Stopped once `stopped` is set.
    """

    role: str
    model: StreamingChatModel
    ledger: Ledger | None = None
    """None: nothing is recorded."""
    budget: Budget = Field(default_factory=Budget)
    stopped: threading.Event = Field(default_factory=threading.Event)

    @property
    def _llm_type(self) -> str:
        return "recorded"

    def _chunks(
        self, messages: list[BaseMessage], stop: list[str] | None, options: dict[str, Any]
    ) -> Iterator[ChatGenerationChunk]:
        # 1. Find the call in the record.
        prompts = [m.model_dump(include={"type", "content", "tool_calls"}) for m in messages]
        text = json.dumps(as_json([self.role, prompts, stop, options]), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        key, prompt = "", messages[-1].text[:200]
        if self.ledger:
            key = f"{digest}-{self.ledger.number(digest)}"
            if (reply := self.ledger.reply(key)) is not None:
                chunk = AIMessageChunk(**reply | {"type": "AIMessageChunk"})
                yield ChatGenerationChunk(message=chunk)
                return
        # 2. Call the model within the budget.
        whole = AIMessageChunk(content="")
        try:
            for chunk in self._call(self.model, messages, stop, options):
                whole += chunk
                yield ChatGenerationChunk(message=chunk)
        except BaseException as error:
            spent = self._spent(messages, whole, error)
            if self.ledger:
                self.ledger.number(digest, -1)  # so that the retry reuses this number
                if any(spent.values()):
                    failure = f"{key}-failed-{secrets.token_hex(4)}"
                    self.ledger.add_reply(failure, self.role, prompt, spent, None)
            self.budget.spend(**spent)
            if isinstance(error, ModelError):  # the reply may have been cut where the budget ended
                self.budget.check("tokens", "usd")
            raise
        # 3. Record the reply and what it has cost.
        message = cast("AIMessage", message_chunk_to_message(whole))
        spent = self._spent(messages, message)
        if self.ledger:
            reply = message.model_dump(mode="json", exclude={"id"})
            self.ledger.add_reply(key, self.role, prompt, spent, reply)
        self.budget.spend(**spent)

    def _call(
        self, model: StreamingChatModel, messages: list[BaseMessage], stop: Any, options: Any
    ) -> Iterator[AIMessageChunk]:
        """The reply, until the run is stopped or its seconds are used up."""
        self.budget.check("tokens", "usd", "seconds")
        if isinstance(model, RemoteChatModel):  # both end the wait for the vendor, too
            options = options | self._size_limit(model)
            seconds = min(options.pop("timeout", model.timeout), self.budget.left("seconds"))
            model = model.model_copy(update={"timeout": seconds, "cancel": self.stopped})
        # Without callbacks of the caller, which see this model's own call already.
        stream: Any = model.stream(messages, {"callbacks": []}, stop=stop, **options)
        try:
            with closing(stream):
                while not self.stopped.is_set() and (chunk := next(stream, None)) is not None:
                    yield chunk
                    self.budget.check("seconds")
            if self.stopped.is_set():
                raise CancelledError
        except CancelledError:
            raise Stopped("The run was stopped.") from None
        except ModelTimeout:
            self.budget.check("seconds")
            raise

    def _size_limit(self, model: RemoteChatModel) -> dict[str, int]:
        """`max_tokens` of a call, from what the budget still allows.

        A reply of this size uses the budget up, so that it is exceeded by no more than the prompt.
        """
        tokens: float = min(MAX_REPLY, self.budget.left("tokens"))
        for candidate in model.candidates:
            usd = price(candidate.spec, model.settings)
            if usd and usd.output:
                tokens = min(tokens, self.budget.left("usd") / usd.output * 1e6)
        return {"max_tokens": max(1, math.ceil(tokens))}

    def _spent(
        self, messages: list[BaseMessage], reply: AIMessage, error: BaseException | None = None
    ) -> dict[str, float]:
        """Tokens and USD of a call; tokens that are not reported are estimated."""
        if isinstance(error, ModelError) and error.usage:
            return {"tokens": error.usage["total_tokens"], "usd": error.cost_usd or 0.0}
        if error and not reply.text:  # vendors charge only for what they have sent
            return {"tokens": 0, "usd": 0.0}
        inputs, outputs = _estimate(messages), _estimate([reply])
        if (usage := reply.usage_metadata) and usage["total_tokens"]:
            inputs, outputs = usage["input_tokens"], usage["output_tokens"]
        usd = reply.response_metadata.get("cost_usd")
        if usd is None:
            spec = reply.response_metadata.get("spec", getattr(self.model, "model_name", ""))
            usd = cost(spec, {"input_tokens": inputs, "output_tokens": outputs}) or 0.0
        return {"tokens": inputs + outputs, "usd": usd}


def _estimate(messages: Iterable[BaseMessage]) -> int:
    return math.ceil(sum(len(str(message.text)) for message in messages) / 4)  # of English text
