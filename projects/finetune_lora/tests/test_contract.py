"""What every server and command line of the repository keeps."""

import pytest
from fastapi import FastAPI
from finetune_fakes import ScriptedPlayground, write_run

from finetune_lora import __main__
from finetune_lora.config import Config
from finetune_lora.page.page import create_app
from seedbed.testing.contract import SETTINGS, CommandContract, ServerContract


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder = tmp_path_factory.mktemp("data")
    write_run(folder / "runs" / "x")
    playground = ScriptedPlayground(before={"text": "Sure!"}, after={"text": "{}"})
    return create_app(Config(data_dir=folder), SETTINGS, playground=playground)


class TestServer(ServerContract):
    pass


class TestCommandLine(CommandContract):
    app, package = __main__.app, "finetune_lora"
