"""LangChain's own conformance suite, over the local model and over the scripted one."""

import pytest
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from seedbed.models.load import load_chat_model
from seedbed.models.local.local_chat import LocalChatModel
from seedbed.models.scripted import ScriptedChatModel

pytestmark = pytest.mark.timeout(240)  # opening the model is slow on a busy machine


class Local:
    """The default model; one engine serves every test."""

    chat_model_class = LocalChatModel
    supports_model_override = False
    supports_json_mode = True
    has_tool_calling = True
    has_tool_choice = True
    has_structured_output = True

    @property
    def chat_model_params(self):
        model = load_chat_model("smollm2")
        return {
            "engine": model.engine,
            "model_name": model.model_name,
            "help": model.help,
        }


class Scripted:
    chat_model_class = ScriptedChatModel
    supports_json_mode = True

    @property
    def chat_model_params(self):
        return {}


@pytest.mark.slow
class TestLocalUnit(Local, ChatModelUnitTests):
    pass


@pytest.mark.slow
class TestLocalIntegration(Local, ChatModelIntegrationTests):
    @property
    def standard_chat_model_params(self):
        return {"max_tokens": 400}


class TestScriptedUnit(Scripted, ChatModelUnitTests):
    pass
