"""Answers about the documents in the folder NANO_DOCUMENTS, and a chat page at `/`.

    curl -s http://127.0.0.1:8000/ask -H 'content-type: application/json' \
      -d '{"question": "What is hybrid search?"}'
"""

import os
from pathlib import Path
from typing import Annotated

import gradio as gr
from fastapi import Body, FastAPI

from .app import Answer, Chatbot


def add_routes(app: FastAPI) -> None:
    chatbot = Chatbot(Path(os.environ.get("NANO_DOCUMENTS", "docs")))

    @app.post("/ask")
    def ask(question: Annotated[str, Body(embed=True, min_length=1, max_length=2000)]) -> Answer:
        return chatbot.ask(question)

    page = gr.ChatInterface(lambda question, _: str(chatbot.ask(question)))
    gr.mount_gradio_app(app, page, "/")
