"""Fixtures for every test of rag_chatbot: a store in a temporary folder, without weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from rag_chatbot.config import Config
from rag_chatbot.store.store import Store
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.settings import load
from seedbed.testing.launch import serve_app


@pytest.fixture(scope="session", autouse=True)
def model_setting() -> Iterator[None]:
    """The model that is never called, whatever the default: quotes then come from the documents."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEEDBED_MODEL", "smollm2")
        yield


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
def open_chatbot(config: Config) -> Iterator[Callable[..., Any]]:
    """Opens chatbots on the same folder, with texts by name, and closes them after the test."""
    from rag_chatbot.chatbot import Chatbot
    from rag_chatbot.ingest import ingest_bytes
    from seedbed.models.scripted import ScriptedChatModel

    chatbots: list[Chatbot] = []

    def open_one(
        texts: dict[str, str] | None = None, model: Any = None, **settings: Any
    ) -> Chatbot:
        chat_model = model or ScriptedChatModel()
        own = config.model_copy(update={"mode": "quote", **settings})
        chatbot = Chatbot(own, HashEmbeddings(), ["scripted"], lambda _: chat_model)
        for name, text in (texts or {}).items():
            ingest_bytes(chatbot.store, name, text.encode())
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
