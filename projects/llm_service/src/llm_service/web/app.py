"""The service put together from its settings."""

from __future__ import annotations

import sys

from fastapi import FastAPI

from llm_service.config import Config
from llm_service.gateway.gateway import Gateway
from llm_service.observe import metrics
from llm_service.store.keys import open_keys
from llm_service.web.openai_api import create_app
from seedbed.observe.logs_and_traces import start
from seedbed.settings import Settings


def create(config: Config, settings: Settings) -> FastAPI:
    """The app, with its table of models read and its database open; models load when it runs.

    Raises ConfigError, MissingExtra or Unavailable, before anything listens.
    """
    start("llm_service", settings.log_level)
    sys.setswitchinterval(0.0005)  # s: the thread that writes usage must not hold up a request
    keys = open_keys(config, settings)
    gateway = Gateway(config, settings, keys.database, metrics.default())
    return create_app(gateway, keys)
