"""A chatbot over the handbook whose model is behind the API of a strict vendor."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rag_chatbot.chatbot import OPERATOR, Chatbot, Question, open_chatbot
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest
from seedbed.settings import Settings, load
from seedbed.testing.vendor.script import Fault, Item, Reply, Script, Usage, read_replies
from seedbed.testing.vendor.server import launch_vendor

DOCS = Path(__file__).parents[4] / "docs"
OPENAI, ANTHROPIC = "openai:gpt-4o-mini", "anthropic:claude-haiku-4-5"


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


class Asker:
    """Asks a chatbot over the handbook; the replies of its vendor change by question."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack, self._folder = stack, folder
        self._script, self._agrees = Script([]), False
        self.vendor = stack.enter_context(launch_vendor(self._take))
        self._chatbots: dict[str, Chatbot] = {}

    def _take(self, body: dict[str, Any]) -> Reply:
        """The next reply of the script; without one, that of a judge who compares words."""
        try:
            return self._script.take(body)
        except Fault:
            text = body["messages"][-1]["content"]
            pairs = re.findall(r"^\d+\. (.*)\nQuote: (.*(?:\n(?!\d+\. ).+)*)", text, re.MULTILINE)
            if not text.startswith("Check each numbered sentence"):
                raise
        rows = [
            {
                "number": n,
                "verdict": "supported" if self._agrees or words(a) <= words(b) else "not stated",
            }
            for n, (a, b) in enumerate(pairs, 1)
        ]
        return Reply(json.dumps({"judgements": rows}))

    def __call__(
        self,
        question: str,
        replies: Path | Sequence[Item],
        history: Sequence[str] = (),
        *,
        agrees: bool = False,
        **options: Any,
    ) -> SimpleNamespace:
        """The answer as JSON, its pieces, and the vendor; `history` are earlier questions.

        With `agrees` the judge finds every sentence supported.
        """
        self._agrees = agrees
        items = read_replies(replies) if isinstance(replies, Path) else replies
        bot = self.chatbot(items, **options)
        conversation = None
        if history:
            conversation = bot.conversations.start("local", "default", history[0])
            for earlier in history:
                bot.conversations.add(
                    conversation, earlier, {"answer": "It is explained there.", "citations": []}
                )
        *pieces, answer = bot.stream(
            Question(question, conversation_id=conversation), caller=OPERATOR
        )
        return SimpleNamespace(answer=answer, pieces=pieces, vendor=self.vendor, chatbot=bot)

    def chatbot(
        self, replies: Sequence[Item], *, spec: str = OPENAI, timeout: float = 0, **config: Any
    ) -> Chatbot:
        """The chatbot whose model gives these replies from now on."""
        if spec == ANTHROPIC:
            pytest.importorskip("langchain_anthropic")
        self._script = Script(replies)
        self.vendor.calls, self.vendor.usage = [], Usage()
        if (key := repr((spec, config))) not in self._chatbots:
            url = self.vendor.url if spec == ANTHROPIC else f"{self.vendor.url}/v1"
            settings = load(Settings, model=spec, base_url=url)
            own = load(Config, data_dir=self._folder, **{"k": 50, **config})
            bot = open_chatbot(own, settings)
            ingest(bot.store, [DOCS])
            self._stack.callback(bot.close)
            self._chatbots[key] = bot
        bot = self._chatbots[key]
        if timeout:
            model: Any = bot.answerer.writer.model
            model.timeout = timeout
        return bot


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_KEY", "test-key")
        patch.setenv("ANTHROPIC_API_KEY", "test-key")
        yield Asker(stack, tmp_path_factory.mktemp("vendor"))


@pytest.fixture
def check_spent() -> Callable[[SimpleNamespace], None]:
    """Tokens of an answer are those that the vendor counted, and they have a price."""

    def check(asked: SimpleNamespace) -> None:
        usage, counted = asked.answer["usage"], asked.vendor.usage
        assert usage["input_tokens"] == counted.input_tokens
        assert usage["output_tokens"] == counted.output_tokens
        assert usage["cost_usd"] > 0

    return check
