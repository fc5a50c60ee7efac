"""What every server and command line of the repository keeps."""

import pytest
from fastapi import FastAPI

from rag_chatbot import __main__
from rag_chatbot.chatbot import Chatbot
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest_uploads
from rag_chatbot.talk.api import create_app
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.models.scripted import ScriptedChatModel
from seedbed.settings import load
from seedbed.testing.contract import SETTINGS, CommandContract, ServerContract


@pytest.fixture(scope="module")
def app(
    tmp_path_factory: pytest.TempPathFactory,
    answer_mode: str,
    repeating_model: ScriptedChatModel,
) -> FastAPI:
    config = load(Config, data_dir=tmp_path_factory.mktemp("data"), mode=answer_mode)
    chatbot = Chatbot(config, HashEmbeddings(), lambda: repeating_model, "scripted")
    ingest_uploads(chatbot.store, [("port.md", b"The harbour of Vellin opens at six.")])
    return create_app(chatbot, SETTINGS)


class TestServer(ServerContract):
    pass


class TestCommandLine(CommandContract):
    app, package = __main__.app, "rag_chatbot"
