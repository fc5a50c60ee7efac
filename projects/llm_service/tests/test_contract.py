"""What every server and command line of the repository keeps."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from service_fakes import TABLE, FakeBackend, FakePool

from llm_service import __main__
from llm_service.config import Config
from llm_service.gateway.gateway import Gateway
from llm_service.observe.metrics import Metrics
from llm_service.store.database import open_database
from llm_service.store.keys import KeyStore
from llm_service.web.openai_api import create_app
from seedbed.server.keys import Keys
from seedbed.testing.contract import SETTINGS, CommandContract, ServerContract


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    data = tmp_path_factory.mktemp("data")
    (data / "models.toml").write_text(TABLE)
    config = Config(data_dir=data, models=data / "models.toml", _env_file=None)
    database = open_database(config)
    keys = KeyStore(database, Keys.parse(SETTINGS.api_keys.get_secret_value()))
    pool = FakePool({"echo": FakeBackend()})
    metrics = Metrics(CollectorRegistry())
    yield create_app(Gateway(config, SETTINGS, database, metrics, make_pool=pool), keys)
    database.close()


class TestServer(ServerContract):
    pass


class TestCommandLine(CommandContract):
    app, package = __main__.app, "llm_service"
