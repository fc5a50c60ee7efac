"""The service put together from its settings."""

from __future__ import annotations

import sys

from fastapi import FastAPI

from llm_service import metrics
from llm_service.api import create_app
from llm_service.config import Config
from llm_service.gateway import Gateway
from llm_service.store.database import open_database
from llm_service.store.keys import KeyStore
from seedbed.keys import Keys
from seedbed.settings import Settings
from seedbed.startup import start


def create(config: Config, settings: Settings) -> FastAPI:
    """The app, with its table of models read and its database open; models load when it runs.

    Raises ConfigError, MissingExtra or Unavailable, before anything listens.
    """
    start("llm_service", settings.log_level)
    sys.setswitchinterval(0.0005)  # s: the thread that writes usage must not hold up a request
    database = open_database(config)
    keys = KeyStore(database, Keys.parse(settings.api_keys.get_secret_value()))
    gateway = Gateway(config, settings, database, metrics.default())
    return create_app(gateway, keys)
