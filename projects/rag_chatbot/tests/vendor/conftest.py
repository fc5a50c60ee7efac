"""A chatbot over the handbook whose model is behind the API of a strict vendor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rag_chatbot.answer.follow_up import Exchange
from rag_chatbot.chatbot import OPERATOR, Chatbot, Question, open_chatbot
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest
from seedbed.settings import Settings, load
from seedbed.testing.vendor.script import Item, Script, Usage
from seedbed.testing.vendor.server import launch_vendor

DOCS = Path(__file__).parents[4] / "docs"


class Asker:
    """Asks a chatbot over the handbook; the replies of its vendor change by question."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self._script = Script([])
        self.vendor = stack.enter_context(launch_vendor(lambda body: self._script.take(body)))
        self._chatbots: dict[str, Chatbot] = {}

    def __call__(
        self, question: str, replies: Sequence[Item], history: Sequence[str] = (), **options: Any
    ) -> dict[str, Any]:
        """The answer as JSON; `history` are earlier questions."""
        earlier = tuple(Exchange(text, "It is explained there.") for text in history)
        self.bot = self.chatbot(replies, **options)
        return self.bot.ask(Question(question, history=earlier), caller=OPERATOR)

    def chatbot(
        self,
        replies: Sequence[Item],
        *,
        spec: str = "openai:gpt-4o-mini",
        timeout: float = 60,
        **config: Any,
    ) -> Chatbot:
        """The chatbot whose model gives these replies from now on; `timeout` is in seconds."""
        self._script = Script(replies)
        self.vendor.calls, self.vendor.usage = [], Usage()
        key = repr((spec, timeout, config))
        if key not in self._chatbots:
            url = self.vendor.url if spec.startswith("anthropic:") else f"{self.vendor.url}/v1"
            settings = load(Settings, model=spec, base_url=url, model_timeout=timeout)
            own = load(Config, data_dir=self._folder, **{"k": 50, **config})
            self._chatbots[key] = bot = open_chatbot(own, settings)
            self._stack.callback(bot.close)
            ingest(bot.store, [DOCS])
        return self._chatbots[key]

    def check_spent(self, answer: dict[str, Any]) -> None:
        """Tokens of an answer are those that the vendor counted, and they have a price."""
        usage, counted = answer["usage"], self.vendor.usage
        assert usage["input_tokens"] == counted.input_tokens
        assert usage["output_tokens"] == counted.output_tokens
        assert usage["cost_usd"] > 0


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "test-key")
        patch.setenv("ANTHROPIC_API_KEY", "test-key")
        yield Asker(stack, tmp_path_factory.mktemp("vendor"))
