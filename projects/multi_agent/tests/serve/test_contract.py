"""What every server and command line of the repository keeps."""

from typing import Any

import pytest
from fastapi import FastAPI

from multi_agent import __main__
from multi_agent.serve.api import create_app
from seedbed.testing.contract import SETTINGS, CommandContract, ServerContract


@pytest.fixture(scope="module")
def app(clerk_team: Any) -> FastAPI:
    return create_app(clerk_team.team, SETTINGS)


class TestServer(ServerContract):
    pass


class TestCommandLine(CommandContract):
    app, package = __main__.app, "multi_agent"
