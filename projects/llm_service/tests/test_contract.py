"""What every server and command line of the repository keeps."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from service_fakes import app_over_fakes

from llm_service import __main__
from seedbed.testing.contract import SETTINGS, CommandContract, ServerContract


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    with app_over_fakes(tmp_path_factory.mktemp("data"), settings=SETTINGS) as made:
        yield made.app


class TestServer(ServerContract):
    pass


class TestCommandLine(CommandContract):
    app, package = __main__.app, "llm_service"
