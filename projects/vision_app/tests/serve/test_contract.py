"""What every server and command line of the repository keeps."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI

from vision_app import __main__
from vision_app.serve.api import create_app
from seedbed.testing.contract import SETTINGS, CommandContract, ServerContract


@pytest.fixture(scope="module")
def app(make_vision: Callable[..., Any]) -> FastAPI:
    return create_app(make_vision(), SETTINGS)


class TestServer(ServerContract):
    pass


class TestCommandLine(CommandContract):
    app, package = __main__.app, "vision_app"
