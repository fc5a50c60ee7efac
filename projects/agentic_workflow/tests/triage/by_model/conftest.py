"""Triage by a model behind the API of a strict vendor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from agentic_workflow.triage.by_model.model_triager import ModelTriager
from seedbed.models.load import load_chat_model
from seedbed.settings import Settings, load
from seedbed.testing.vendor.script import Item, Script, Usage
from seedbed.testing.vendor.server import launch_vendor


class Desk:
    """Reads mails with the replies of a vendor, which is shared by all tests."""

    def __init__(self, stack: ExitStack) -> None:
        self._script = Script([])
        self.vendor = stack.enter_context(launch_vendor(lambda body: self._script.take(body)))

    def __call__(self, replies: Sequence[Item], seconds: float = 20.0) -> ModelTriager:
        """A triager whose model answers with these replies; the counters start at zero."""
        self._script, self.vendor.calls, self.vendor.usage = Script(replies), [], Usage()
        settings = load(Settings, model="openai:gpt-4o-mini", base_url=f"{self.vendor.url}/v1")
        return ModelTriager(load_chat_model(settings=settings, attempts=2), seconds)


@pytest.fixture(scope="session")
def desk() -> Iterator[Callable[..., Any]]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "test-key")
        yield Desk(stack)
