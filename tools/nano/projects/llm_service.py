"""OpenAI's protocol for one model, with streams, tools and metrics.

    curl -s http://127.0.0.1:8000/v1/chat/completions -H 'content-type: application/json' \
      -d '{"messages": [{"role": "user", "content": "What is the capital of France?"}]}'
"""

import os

from fastapi import FastAPI

from seedbed.models.load import load_chat_model

from .app import create_app


def add_routes(app: FastAPI) -> None:
    app.mount("/", create_app(load_chat_model(), os.environ.get("SEEDBED_MODEL", "smollm2")))
