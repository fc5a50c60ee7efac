"""An app with routes that succeed, fail and stream, and a check of the error format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, UploadFile
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field

from seedbed import errors
from seedbed.server.service import CleanText, CurrentCaller, create_app
from seedbed.settings import Settings
from seedbed.testing import contract


class Question(BaseModel):
    question: CleanText = Field(min_length=1)
    k: int = 4
    extra: dict[str, Any] | None = None


def _build(api_keys: str = "", **options: Any) -> FastAPI:
    app = create_app(
        "demo", version="1.2", settings=Settings(api_keys=api_keys, open=False), **options
    )

    @app.post("/v1/ask")
    def ask(question: Question, caller: CurrentCaller) -> dict[str, str]:
        return {"caller": caller.name, "question": question.question}

    @app.post("/v1/files")
    async def files(file: UploadFile) -> int:
        return len(await file.read())

    @app.get("/v1/fail/{name}")
    def fail(name: str) -> None:
        raise {
            "busy": errors.Busy("Full.", retry_after=2.2),
            "window": errors.ContextWindowError("9000 tokens."),
            "secret": errors.Unavailable("sk-abcdefghijklmnop1234 refused."),
            "bug": RuntimeError("a private detail"),
        }[name]

    @app.get("/v1/stream")
    def stream(fail: bool = False) -> StreamingResponse:
        def pieces() -> Iterator[str]:
            yield "one "
            if fail:
                raise RuntimeError("a private detail")
            yield "two"

        return StreamingResponse(pieces())

    return app


@pytest.fixture
def build() -> Callable[..., FastAPI]:
    """Builds the app with API keys ("name=key,…") and the options of `create_app`."""
    return _build


@pytest.fixture
def client() -> Iterator[TestClient]:
    """A client of the app without API keys, whose bodies are limited to 0.01 MB."""
    with TestClient(_build(max_body_mb=0.01)) as client:
        yield client


@pytest.fixture
def expect_error() -> Callable[[httpx.Response, int, str], str]:
    """`contract.expect_error`."""
    return contract.expect_error
