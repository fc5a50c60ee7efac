"""What every server and command line of the repository keeps."""

from collections.abc import Callable

import pytest
from fastapi import FastAPI

from rag_chatbot import __main__
from rag_chatbot.chatbot import Chatbot
from rag_chatbot.talk.api import create_app
from seedbed.testing.contract import SETTINGS, CommandContract, ServerContract


@pytest.fixture(scope="module")
def app(open_shared: Callable[..., Chatbot]) -> FastAPI:
    return create_app(open_shared({"port.md": "The harbour of Vellin opens at six."}), SETTINGS)


class TestServer(ServerContract):
    pass


class TestCommandLine(CommandContract):
    app, package = __main__.app, "rag_chatbot"
