"""What every server and command line of the repository keeps."""

import pytest
from fastapi import FastAPI

from research_repro import __main__
from research_repro.config import Config
from research_repro.site import create_app
from seedbed.testing.contract import SETTINGS, CommandContract, ServerContract


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(Config(data_dir=tmp_path_factory.mktemp("data")), settings=SETTINGS)


class TestServer(ServerContract):
    pass


class TestCommandLine(CommandContract):
    app, package = __main__.app, "research_repro"
