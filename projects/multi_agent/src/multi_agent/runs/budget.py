"""Limits on what a run may spend: steps, tool calls, tokens, money and seconds.

    budget = Budget(tokens=50_000, usd=0.5, seconds=120)
    callback = BudgetCallback(budget, "openai:gpt-4o-mini")
    answer = model.invoke("Hi", config={"callbacks": [callback]})
    budget.usage        # {'steps': 0, 'tool_calls': 0, 'tokens': 18, 'usd': 0.0000036, …}

A call that has started is not cut off: tokens and USD can exceed a limit by one call per thread.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from langchain_core.callbacks.base import BaseCallbackHandler

from seedbed.errors import ModelError, SeedbedError
from seedbed.models.remote.prices import cost

if TYPE_CHECKING:
    from langchain_core.outputs import ChatGeneration, LLMResult

_LIMITS = ("steps", "tool_calls", "tokens", "usd", "seconds")


class OverBudget(SeedbedError):
    """A limit is reached; `limit` is its name, e.g. "tokens"."""

    status = 429

    def __init__(self, limit: str, maximum: float, used: float) -> None:
        unit = "USD" if limit == "usd" else limit.replace("_", " ")
        unit = unit.removesuffix("s") if maximum == 1 else unit
        maximum, used = (round(value, 4 if limit == "usd" else 1) for value in (maximum, used))
        super().__init__(f"The budget of {maximum:,.12g} {unit} is used up ({used:,.12g}).")
        self.limit = limit


class Budget:
    """Limits (steps, tool_calls, tokens, usd, seconds; None: no limit), and what is spent.

    >>> run = Budget(tokens=50_000, steps=20)
    >>> run.child(tokens=8_000).spend(tokens=50_112)
    >>> run.check()
    Traceback (most recent call last):
    multi_agent.runs.budget.OverBudget: The budget of 50,000 tokens is used up (50,112).
    """

    def __init__(
        self,
        *,
        parent: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
        **limits: float | None,
    ) -> None:
        if unknown := limits.keys() - set(_LIMITS):
            raise TypeError(f"Unknown limits {sorted(unknown)}.")
        self.limits = {name: limit for name, limit in limits.items() if limit is not None}
        self.exceeded = ""
        """The text of the first OverBudget for one of these limits, not for a child's."""
        self._used: dict[str, float] = dict.fromkeys(_LIMITS[:-1], 0)
        self._clock: Callable[[], float] = parent._clock if parent else clock
        self._started = self._clock()
        self._lock: threading.RLock = parent._lock if parent else threading.RLock()
        self._family: tuple[Budget, ...] = (self, *(parent._family if parent else ()))

    def child(self, **limits: Any) -> Budget:
        """A budget within this one, which spends from both; its seconds count from now."""
        return Budget(parent=self, **limits)

    def spend(self, **amounts: float) -> None:
        """Record what has been spent, e.g. `spend(tokens=120, usd=0.01)`, also above a limit."""
        with self._lock:
            for budget in self._family:
                for name, amount in amounts.items():
                    budget._used[name] += amount

    def check(self, *limits: str) -> None:
        """Raise OverBudget if one of these limits is reached, here or in a parent; default: all."""
        for budget in reversed(self._family):  # the run's limits first: they end all of its steps
            used = budget.usage
            for name, maximum in budget.limits.items():
                if name in (limits or used) and used[name] >= maximum:
                    error = OverBudget(name, maximum, used[name])
                    budget.exceeded = budget.exceeded or str(error)
                    raise error

    def take(self, **amounts: float) -> None:
        """Check and spend in one step: threads cannot exceed `take(tool_calls=1)` together."""
        with self._lock:
            self.check(*amounts, "seconds")
            self.spend(**amounts)

    @property
    def usage(self) -> dict[str, float]:
        """What has been spent, by the limit's name."""
        with self._lock:
            return {**self._used, "seconds": self._clock() - self._started}

    def restore(self, usage: Mapping[str, float]) -> None:
        """Continue from an earlier `usage`; the time in between does not count."""
        with self._lock:
            self._used |= {name: usage.get(name, 0) for name in self._used}
            self._started = self._clock() - usage.get("seconds", 0.0)


class BudgetCallback(BaseCallbackHandler):
    """A LangChain callback that spends the tokens and the cost of a chat model's calls.

    It checks tokens, USD and seconds before each call and raises OverBudget. Tokens that a model
    does not report are estimated; calls that failed are charged for what they used. Pass it in the
    config of a call: the callbacks of the model then do not see a call that is refused.
    """

    raise_error = True  # otherwise LangChain logs OverBudget and continues
    run_inline = True

    def __init__(self, budget: Budget, spec: str = "") -> None:
        self.budget, self.spec = budget, spec
        # LangChain warns of every call that is refused; adding a filter twice has no effect.
        logging.getLogger("langchain_core.callbacks.manager").addFilter(_is_not_over_budget)
        self._prompts: dict[UUID, int] = {}  # estimated tokens of the calls in progress

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.budget.check("tokens", "usd", "seconds")
        self._prompts[kwargs["run_id"]] = sum(map(_estimate, args[1]))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        message: Any = cast("ChatGeneration", response.generations[0][0]).message
        usage = getattr(message, "usage_metadata", None) or {}
        inputs = usage.get("input_tokens", self._prompts.pop(run_id, 0))
        outputs = usage.get("output_tokens", _estimate([message]))
        usd = message.response_metadata.get("cost_usd")
        if usd is None:
            usd = cost(self.spec, {"input_tokens": inputs, "output_tokens": outputs}) or 0.0
        self.budget.spend(tokens=inputs + outputs, usd=usd)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        response, run_id = kwargs.get("response"), kwargs["run_id"]
        if isinstance(error, ModelError):
            tokens = error.usage.get("total_tokens", 0)
            self.budget.spend(tokens=tokens, usd=error.cost_usd or 0.0)
        elif response and any(one.text for batch in response.generations for one in batch):
            self.on_llm_end(response, run_id=run_id)  # vendors charge for a stream cut off
        self._prompts.pop(run_id, None)


def _is_not_over_budget(record: logging.LogRecord) -> bool:
    return OverBudget.__name__ not in record.getMessage()


def _estimate(messages: Iterable[Any]) -> int:
    return math.ceil(sum(len(str(message.text)) for message in messages) / 4)  # of English text
