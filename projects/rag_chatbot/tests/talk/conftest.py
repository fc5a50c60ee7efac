from contextlib import ExitStack

import pytest

from rag_chatbot.chatbot import Chatbot
from rag_chatbot.config import Config
from rag_chatbot.ingest import ingest_uploads
from seedbed.models.embeddings.hash import HashEmbeddings
from seedbed.settings import load


@pytest.fixture(scope="module")
def open_shared(tmp_path_factory, answer_mode, repeating_model):
    """Opens a chatbot over texts by name, which the tests of a module share."""
    with ExitStack() as stack:

        def open_one(texts, **settings):
            folder = tmp_path_factory.mktemp("data")
            config = load(Config, data_dir=folder, mode=answer_mode, **settings)
            chatbot = Chatbot(config, HashEmbeddings(), lambda: repeating_model, "scripted")
            stack.callback(chatbot.close)
            for name, text in texts.items():
                ingest_uploads(chatbot.store, [(name, text.encode())])
            return chatbot

        yield open_one
