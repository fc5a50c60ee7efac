"""A route that generates text: its body, and how an answer looks.

The server adds a route for each `Endpoint` of `web.openai_api.ENDPOINTS`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from llm_service.protocol import chat_answer
from llm_service.protocol.body import Body
from llm_service.protocol.chat import ChatRequest
from llm_service.protocol.events import About
from llm_service.request import Events


@dataclass(frozen=True)
class Endpoint:
    """`POST /v1{path}`."""

    path: str
    summary: str
    id_prefix: str
    """How the ids of its answers begin."""
    request: type[Body]
    collect: Callable[[Events, Any, About], Any]
    """A coroutine of the whole answer as JSON, from the events, the body and `About`."""
    stream: Callable[[Events, Any, About], AsyncIterator[bytes]]
    """The server-sent events, from the same."""


CHAT = Endpoint(
    path="/chat/completions",
    summary="Answer a conversation, complete or, with `stream`, as server-sent events.",
    id_prefix="chatcmpl",
    request=ChatRequest,
    collect=lambda events, body, about: chat_answer.collect(events, about),  # noqa: ARG005
    stream=lambda events, body, about: chat_answer.stream(
        events, about, include_usage=body.include_usage
    ),
)
