"""Fixtures for every test of rag_chatbot: a store in a temporary folder, without weights.

Answers are quotes of the documents. In a copy without the folder `answer/quote`, a model behind a
vendor server gives them: it repeats the sentence that shares most words with the question.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rag_chatbot.config import Config
from rag_chatbot.read.language import sentence_spans, terms
from rag_chatbot.store.store import Store
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.scripted import ScriptedChatModel
from seedbed.settings import load
from seedbed.testing.launch import serve_app
from seedbed.testing.vendor.server import launch_vendor

QUOTES = importlib.util.find_spec("rag_chatbot.answer.quote") is not None


def reply(prompt: str) -> str:
    """The reply of a model that repeats sentences, to any prompt of `write`."""
    *_, question = prompt.rpartition("uestion: ")
    if prompt.startswith("Rewrite"):
        return " ".join([*re.findall("User: (.*)", prompt), question])
    passages = prompt.partition("<<<PASSAGES")[2].partition("PASSAGES")[0]
    texts = [text.partition("\n")[2] for text in re.split(r"\n\[\d+\] ", passages)]
    sentences = [text[start:end] for text in texts for start, end in sentence_spans(text)]
    words = set(terms(question))
    best = max(sentences, key=lambda sentence: len(words & {*terms(sentence)}), default="")
    if not words & {*terms(best)}:
        return "NOT FOUND"
    return json.dumps({"sentence": best, "passage": 1, "quote": best})


@pytest.fixture(scope="session", autouse=True)
def model_setting() -> Iterator[None]:
    """A model that is never called if the documents can be quoted, whatever the default is."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEDBED_MODEL", "smollm2")
        if not QUOTES:
            vendor = stack.enter_context(
                launch_vendor(lambda body: reply(body["messages"][-1]["content"]))
            )
            patch.setenv("SEEDBED_MODEL", "openai:gpt-4o-mini")
            patch.setenv("SEEDBED_BASE_URL", f"{vendor.url}/v1")
            patch.setenv("OPENAI_API_KEY", "test-key")
        yield


@pytest.fixture(scope="session")
def answer_mode() -> str:
    """The mode in which this copy answers."""
    return "quote" if QUOTES else "write"


@pytest.fixture(scope="session")
def repeating_model() -> ScriptedChatModel:
    """A model that repeats sentences of the documents."""
    return ScriptedChatModel(lambda call: reply(call.text))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(Config, data_dir=tmp_path / "data")


@pytest.fixture
def open_store(config: Config) -> Iterator[Callable[..., Store]]:
    """Opens stores on the same folder, and closes them after the test."""
    stores: list[Store] = []

    def open_one(**overrides: object) -> Store:
        embeddings = overrides.pop("embeddings", None) or HashEmbeddings()
        stores.append(Store(config.model_copy(update=overrides), embeddings))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "files"
    path.mkdir()
    return path


@pytest.fixture
def open_chatbot(
    config: Config, answer_mode: str, repeating_model: ScriptedChatModel
) -> Iterator[Callable[..., Any]]:
    """Opens chatbots on the same folder, with texts by name, and closes them after the test."""
    from rag_chatbot.chatbot import Chatbot
    from rag_chatbot.ingest import ingest_uploads

    chatbots: list[Chatbot] = []

    def open_one(
        texts: dict[str, str] | None = None, model: Any = None, **settings: Any
    ) -> Chatbot:
        chat_model = model or repeating_model
        own = config.model_copy(update={"mode": answer_mode, **settings})
        chatbot = Chatbot(own, HashEmbeddings(), lambda: chat_model, "scripted")
        for name, text in (texts or {}).items():
            ingest_uploads(chatbot.store, [(name, text.encode())])
        chatbots.append(chatbot)
        return chatbot

    yield open_one
    for chatbot in chatbots:
        chatbot.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Any], str]]:
    """Serves apps from threads of this process; returns each one's address."""
    with ExitStack() as running:
        yield lambda app: running.enter_context(serve_app(app))
