"""The edition of one file, asked by the official client: answers, streams, refusals, metrics."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage
from prometheus_client import CollectorRegistry

from seedbed.errors import BadInput
from seedbed.models.scripted import ScriptedChatModel
from seedbed.testing.launch import import_file, serve_app

nano = import_file(Path(__file__).parents[1] / "nano.py")
HELLO: Any = [{"role": "user", "content": "Hi"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}


def application(replies: Any, key: str = "") -> Any:
    return nano.create_app(ScriptedChatModel(replies), "scripted", key, CollectorRegistry())


def chat(url: str, **fields: Any) -> Any:
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    return client.chat.completions.create(**{"model": "scripted", "messages": HELLO, **fields})


@pytest.fixture
def scripted() -> Iterator[Any]:
    """Serves an application with these replies for one test."""
    with ExitStack() as stack:
        yield lambda replies, key="": stack.enter_context(serve_app(application(replies, key)))


def test_answer_has_usage_and_is_counted(scripted: Any) -> None:
    url = scripted(["Hello there."])
    answer = chat(url)
    assert answer.choices[0].message.content == "Hello there."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage and answer.usage.completion_tokens > 0
    metrics = httpx.get(f"{url}/metrics/").text
    assert 'nano_requests_total{status="200"} 1.0' in metrics
    assert f'direction="output"}} {answer.usage.completion_tokens}.0' in metrics
    assert "nano_running 0.0" in metrics


def test_stream_arrives_in_pieces_with_usage(scripted: Any) -> None:
    url, usage = scripted(["Hello there, reader."]), {"include_usage": True}
    chunks = list(chat(url, stream=True, stream_options=usage))
    pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
    assert "".join(pieces) == "Hello there, reader."
    assert len([piece for piece in pieces if piece]) > 1
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens > 0


def test_tool_call_reaches_client(scripted: Any) -> None:
    call = {"name": "get_weather", "args": {"city": "Rome"}, "id": "call_1"}
    url = scripted([AIMessage("", tool_calls=[call])] * 2)
    whole = chat(url, tools=[WEATHER]).choices[0]
    assert whole.finish_reason == "tool_calls"
    function = whole.message.tool_calls[0].function
    assert (function.name, json.loads(function.arguments)) == ("get_weather", {"city": "Rome"})
    chunks = list(chat(url, tools=[WEATHER], stream=True))
    deltas = [d for c in chunks for d in c.choices[0].delta.tool_calls or ()]
    assert deltas[0].function.name == "get_weather"
    assert json.loads("".join(d.function.arguments for d in deltas)) == {"city": "Rome"}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(("key", "status"), [("guess", 401), ("secret", 413)])
def test_wrong_key_and_large_body_are_refused(scripted: Any, key: str, status: int) -> None:
    response = httpx.post(
        f"{scripted([], key='secret')}/v1/chat/completions",
        content=iter([b" " * 100_000] * 20),  # in chunks: its size is not declared
        headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
    )
    assert response.status_code == status


async def test_client_that_leaves_before_the_first_event_frees_its_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nano, "MAX_RUNNING", 1)
    app = application(["Hello."] * 3)
    body = {"messages": HELLO, "stream": True}

    async def leaving_app(scope: Any, receive: Any, _: Any) -> None:
        async def send(_: Any) -> None:
            raise OSError("The client has left.")

        await app(scope, receive, send)

    left = httpx.ASGITransport(leaving_app)
    async with httpx.AsyncClient(transport=left, base_url="http://x") as client:
        for _ in range(2):
            with pytest.raises(OSError, match="left"):
                await client.post("/v1/chat/completions", json=body)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"extra_body": {"logit_bias": {"1": 2}}}, "logit_bias: Extra inputs"),
        ({"messages": [{"role": "oracle", "content": "Hi"}]}, "oracle"),
    ],
)
def test_bad_request_names_field(scripted: Any, body: Any, message: str) -> None:
    with pytest.raises(openai.BadRequestError, match=message):
        chat(scripted([]), **body)


def test_error_of_model_has_its_status(scripted: Any) -> None:
    url = scripted([BadInput("Too long."), BadInput("Too long.")])
    with pytest.raises(openai.BadRequestError, match="Too long"):
        chat(url)
    with pytest.raises(openai.APIError, match="Too long"):
        list(chat(url, stream=True))
    with pytest.raises(openai.NotFoundError, match="Available: scripted"):
        chat(url, model="other")
    assert "nano_running 0.0" in httpx.get(f"{url}/metrics/").text


def test_full_server_refuses(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nano, "MAX_RUNNING", 0)
    with pytest.raises(openai.RateLimitError, match="full") as refused:
        chat(scripted(["Hello."]))
    assert refused.value.response.headers["retry-after"] == "1"
