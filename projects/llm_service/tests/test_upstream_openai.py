"""An upstream of OpenAI's kind over real sockets: what it says, and each way it goes wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from stub_upstream import Stub

from llm_service.models.entry import ModelEntry
from llm_service.models.remote.openai import OpenAIBackend
from llm_service.models.remote.upstream import open_session
from llm_service.request import Ask, Delta, Event, Finish, Usage
from seedbed.errors import BadInput, ContextWindowError, DeadlineExceeded, Unavailable

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
END = b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"eos"}]}\n\ndata: [DONE]\n\n'


@dataclass
class Upstream:
    """A stub, or a handler of the test's, and the backend that asks it."""

    stub: Stub
    backend: OpenAIBackend
    requests: list[dict[str, Any]] = field(default_factory=list)
    reply: Any = None

    async def ask(self, body: dict[str, Any] = HELLO, **more: Any) -> list[Event]:
        return [event async for event in self.backend.generate(Ask("chat", "big", body, **more))]

    def change(self, **fields: Any) -> None:
        """Give its entry of the table other fields."""
        entry = self.backend.entry.model_copy(update=fields)
        self.backend = OpenAIBackend("big", entry, self.backend._session)

    def answer(self, body: Any, status: int = 200, **headers: str) -> None:
        """Let it answer with `body`, also as a stream of this one event; bytes go out as given."""

        async def reply(request: web.Request) -> web.StreamResponse:
            if not isinstance(body, bytes) and not (await request.json()).get("stream"):
                return web.Response(status=status, text=json.dumps(body), headers=headers)
            data = body if isinstance(body, bytes) else b"data: " + json.dumps(body).encode()
            return web.Response(body=data + b"\n\n", content_type="text/event-stream")

        self.reply = reply

    @property
    def idle_connections(self) -> int:
        return sum(map(len, self.backend._session.connector._conns.values()))


@pytest.fixture
async def upstream(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Upstream]:
    monkeypatch.setenv("STUB_KEY", "sk-of-the-operator")
    stub = Stub(tokens=4)
    app = stub.app()
    found: Upstream

    @web.middleware
    async def reply(request: web.Request, handler: Any) -> web.StreamResponse:
        found.requests.append({"body": await request.json(), "headers": dict(request.headers)})
        return await (found.reply or handler)(request)

    app.middlewares.append(reply)
    async with TestServer(app) as server, open_session() as session:
        entry = ModelEntry(
            name="big",
            backend="openai",
            base_url=str(server.make_url("/v1")),
            model="stub",
            api_key_env="STUB_KEY",
            timeout=50,
            defaults={"temperature": 0.5},
        )
        found = Upstream(stub, OpenAIBackend("big", entry, session))
        yield found


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


@pytest.mark.parametrize("stream", [False, True])
async def test_answers_and_choices(upstream: Upstream, stream: bool) -> None:
    *deltas, finish, usage = await upstream.ask(stream=stream)
    expected = ["The", " stub", " says", " the"] if stream else ["The stub says the"]
    assert [delta.text for delta in deltas] == expected
    assert sum(delta.tokens for delta in deltas) == usage.completion_tokens == 4
    assert finish == Finish("stop")
    events = await upstream.ask({**HELLO, "n": 2}, stream=stream)
    assert text([e for e in events if getattr(e, "index", 0) == 1]) == "The stub says the"
    assert sum(isinstance(event, Finish) for event in events) == 2
    assert upstream.idle_connections == 1


async def test_the_body_goes_out_with_model_defaults_and_key(upstream: Upstream) -> None:
    await upstream.ask({**HELLO, "seed": 7, "min_tokens": 3, "temperature": 1})
    await upstream.ask()
    sent = upstream.requests[0]
    assert sent["body"] == {**HELLO, "seed": 7, "min_tokens": 3, "temperature": 1, "model": "stub"}
    assert sent["headers"]["Authorization"] == "Bearer sk-of-the-operator"
    assert upstream.requests[1]["body"]["temperature"] == 0.5


async def test_embeddings(upstream: Upstream) -> None:
    async def embed(*texts: str) -> Any:
        body = {"input": list(texts), "encoding_format": "base64"}
        return await upstream.backend.embed(Ask("embedding", "big", body))

    found = await embed("a", "b")
    assert len(found.vectors) == 2 and found.vectors[0] != found.vectors[1]
    assert found.prompt_tokens == 2
    assert "encoding_format" not in upstream.requests[-1]["body"]
    one = {"data": [{"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": 10**9}}
    upstream.answer(one)
    assert 0 < (await embed("hello")).prompt_tokens < 20, "implausible, and so estimated"
    with pytest.raises(Unavailable, match="malformed"):
        await embed("a", "b")


async def test_tool_calls_logprobs_and_unknown_fields_pass(upstream: Upstream) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    logprobs = [{"token": "x", "logprob": -1.0, "bytes": [120], "top_logprobs": []}]
    message = {"content": None, "tool_calls": [call], "reasoning_content": "hm"}
    choice = {"message": message, "logprobs": {"content": logprobs}, "finish_reason": "tool_calls"}
    upstream.answer({"choices": [choice]})
    delta, finish, _ = await upstream.ask()
    assert delta.tool_calls == [{"index": 0, **call}]
    assert delta.logprobs == logprobs
    assert delta.extra == {"reasoning_content": "hm"}
    assert finish == Finish("tool_calls")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ((9, 3, 8), Usage(9, 3, 8)),
        (None, Usage(6, 2)),
        ((0, 0, 0), Usage(6, 2)),
        ((9, 6, 0), Usage(9, 2)),  # more than it was asked for
        ((10**9, 10**30, 0), Usage(6, 2)),
    ],
)
async def test_usage_is_estimated_where_it_is_missing_or_implausible(
    upstream: Upstream, usage: Any, expected: Usage, stream: bool
) -> None:
    message = {"content": "x" * 8}
    choice = {"message": message, "delta": message, "finish_reason": "stop"}
    answer: dict[str, Any] = {"choices": [choice]}
    if usage:
        read, written, cached = usage
        answer["usage"] = {"prompt_tokens": read, "completion_tokens": written}
        answer["usage"]["prompt_tokens_details"] = {"cached_tokens": cached}
    upstream.answer(answer)
    asked = {"messages": [{"role": "user", "content": "y" * 24}], "max_tokens": 5}
    assert (await upstream.ask(asked, stream=stream))[-1] == expected


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("hang", DeadlineExceeded, "sent nothing for 0.1 s"),
        ("reset", Unavailable, "connection to the upstream failed"),
        ("500", Unavailable, r"returned 500\.$"),
        ("429", Unavailable, "returned 429"),
        ("truncate", Unavailable, "upstream (sent malformed|closed)"),
        ("html", Unavailable, r"sent malformed data\.$"),
    ],
)
async def test_each_fault_has_its_error(
    upstream: Upstream, fault: str, error: type[Exception], says: str, stream: bool
) -> None:
    upstream.stub.fault = fault
    if fault == "hang":
        upstream.change(timeout=0.1)
    with pytest.raises(error, match=says) as caught:
        await upstream.ask(stream=stream)
    assert type(caught.value) is error
    assert caught.value.retry_after == (1.0 if fault == "429" else None)
    assert upstream.backend.load.running == 0


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (400, {"message": "temperature is too high"}, BadInput, "too high"),
        (400, {"message": "too long", "code": "context_length_exceeded"}, ContextWindowError, "lo"),
        (400, {"message": "no: sk-of-the-operator, Bearer abcdefgh12345678"}, BadInput, "no"),
        (404, {"message": "no model stub"}, BadInput, "no model stub"),
        (302, {}, Unavailable, "returned 302"),
        (401, {"message": "wrong key sk-of-the-operator"}, Unavailable, "rejected this service"),
        (429, {"code": "insufficient_quota"}, Unavailable, "rejected this service"),
        (504, {}, DeadlineExceeded, "returned 504"),
    ],
)
async def test_each_status_has_its_error(
    upstream: Upstream, status: int, body: Any, error: type[Exception], says: str
) -> None:
    upstream.answer({"error": body}, status, Location="http://127.0.0.1:1/")
    with pytest.raises(error, match=says) as caught:
        await upstream.ask()
    assert type(caught.value) is error
    assert "sk-of" not in str(caught.value) and "abcdefgh" not in str(caught.value)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"message": {"content": ["alice@example.com"]}, "delta": {"content": [1]}}]},
        {"error": {"message": "Traceback of alice@example.com", "code": 500}},
        ["alice@example.com"],
    ],
)
async def test_text_of_an_upstream_reaches_no_client_and_no_address_the_log(
    upstream: Upstream, answer: Any, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.answer(answer)
    with pytest.raises(Unavailable) as caught:
        await upstream.ask(stream=stream)
    assert "alice" not in str(caught.value) and "Trace" not in str(caught.value)
    assert "alice" not in caplog.text


async def test_a_body_that_does_not_end_holds_up_no_answer(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(END)
        await asyncio.sleep(60)
        return response

    upstream.reply = reply
    monkeypatch.setattr("llm_service.models.remote.upstream._END_OF_BODY", 0.1)
    async with asyncio.timeout(20):
        assert text(await upstream.ask(stream=True)) == "x"
    assert upstream.idle_connections == 0


async def test_a_stream_with_done_but_no_reason_is_finished(upstream: Upstream) -> None:
    upstream.answer(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\ndata: [DONE]')
    assert (await upstream.ask(stream=True))[1] == Finish("stop")
    upstream.answer(b"data: [DONE]")
    with pytest.raises(Unavailable, match="closed the stream before"):
        await upstream.ask(stream=True)
