"""What every server and command line of the repository keeps."""

import pytest
from fastapi import FastAPI

from agentic_workflow import __main__
from agentic_workflow.config import Config
from agentic_workflow.serve.api import create_app
from seedbed.testing.contract import CALLER, SETTINGS, CommandContract, ServerContract


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    config = Config(data_dir=tmp_path_factory.mktemp("desk"), approvers=CALLER)
    return create_app(config, SETTINGS)


class TestServer(ServerContract):
    pass


class TestCommandLine(CommandContract):
    app, package = __main__.app, "agentic_workflow"
