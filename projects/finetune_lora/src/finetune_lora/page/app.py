"""The server of `finetune-lora serve`: the page, which starts no training.

app = create_app(load(Config))    # for seedbed.server.service.serve
"""

from __future__ import annotations

from fastapi import FastAPI

from finetune_lora import __version__
from finetune_lora.config import Config
from finetune_lora.page.page import STYLES, build_page
from finetune_lora.page.playground import Playground
from seedbed.server import service, ui
from seedbed.settings import Settings


def create_app(
    config: Config, settings: Settings | None = None, *, playground: Playground | None = None
) -> FastAPI:
    """The FastAPI application with the page over the runs of `config.data_dir`."""
    app = service.create_app("finetune_lora", version=__version__, settings=settings, max_body_mb=1)
    page = build_page(config.data_dir, playground or Playground())
    ui.mount(app, page, path="/", extra_css=STYLES)
    return app
