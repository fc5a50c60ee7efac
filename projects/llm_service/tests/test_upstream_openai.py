"""An upstream of OpenAI's kind over real sockets: what it says, and each way it goes wrong."""

from __future__ import annotations

import asyncio
import json
import time
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


@dataclass
class Upstream:
    """A stub, or a handler of the test's, and the backend that asks it."""

    stub: Stub
    backend: OpenAIBackend
    requests: list[dict[str, Any]] = field(default_factory=list)
    reply: Any = None

    async def ask(
        self, body: dict[str, Any] = HELLO, kind: Any = "chat", **more: Any
    ) -> list[Event]:
        return [event async for event in self.backend.generate(Ask(kind, "big", body, **more))]


@pytest.fixture
async def upstream(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Upstream]:
    monkeypatch.setenv("STUB_KEY", "sk-of-the-operator")
    stub = Stub(tokens=4, keep=True)
    app = stub.app()
    found: Upstream

    async def own(request: web.Request) -> web.StreamResponse:
        found.requests.append({"body": await request.json(), "headers": dict(request.headers)})
        return await found.reply(request)

    app.router.add_post("/own/{rest:.*}", own)
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


def change(upstream: Upstream, **fields: Any) -> None:
    """The same upstream, with other `fields` in its entry of the table."""
    entry = upstream.backend.entry.model_copy(update=fields)
    upstream.backend = OpenAIBackend("big", entry, upstream.backend._session)


def own(upstream: Upstream, reply: Any) -> Upstream:
    """The same upstream, answering with `reply(request)`."""
    change(upstream, base_url=upstream.backend.entry.base_url.removesuffix("/v1") + "/own")
    upstream.reply = reply
    return upstream


def sse(*parts: bytes, pause: float = 0.0) -> Any:
    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(pause)
        return response

    return reply


def answers(status: int, body: Any, **headers: str) -> Any:
    async def reply(_: web.Request) -> web.Response:
        return web.Response(status=status, text=json.dumps(body), headers=headers)

    return reply


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


async def test_a_whole_answer_is_one_delta_its_end_and_its_usage(upstream: Upstream) -> None:
    events = await upstream.ask()
    assert events == [Delta("The stub says the", 0, 4), Finish("stop"), events[-1]]
    assert isinstance(events[-1], Usage) and events[-1].completion_tokens == 4


async def test_a_stream_is_read_word_by_word(upstream: Upstream) -> None:
    events = await upstream.ask(stream=True)
    assert [e.text for e in events if isinstance(e, Delta)] == ["The", " stub", " says", " the"]
    assert events[-2] == Finish("stop")
    assert events[-1].completion_tokens == 4


async def test_the_body_goes_out_with_model_defaults_and_key(upstream: Upstream) -> None:
    own(upstream, answers(200, {"choices": [{"message": {"content": "x"}}]}))
    await upstream.ask({**HELLO, "seed": 7, "min_tokens": 3, "temperature": 1})
    await upstream.ask()
    sent = upstream.requests[0]
    assert sent["body"] == {**HELLO, "seed": 7, "min_tokens": 3, "temperature": 1, "model": "stub"}
    assert sent["headers"]["Authorization"] == "Bearer sk-of-the-operator"
    assert upstream.requests[1]["body"]["temperature"] == 0.5


async def test_choices_and_embeddings(upstream: Upstream) -> None:
    for stream in (False, True):
        events = await upstream.ask({**HELLO, "n": 2}, stream=stream)
        assert text([e for e in events if getattr(e, "index", 0) == 1]) == "The stub says the"
        assert sum(isinstance(event, Finish) for event in events) == 2
    body = {"input": ["a", "b"], "encoding_format": "base64"}
    found = await upstream.backend.embed(Ask("embedding", "big", body))
    assert len(found.vectors) == 2 and found.vectors[0] != found.vectors[1]
    assert found.prompt_tokens == 2
    assert "encoding_format" not in upstream.stub.seen[-1]


async def test_tool_calls_logprobs_and_unknown_fields_pass(upstream: Upstream) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    logprobs = [{"token": "x", "logprob": -1.0, "bytes": [120], "top_logprobs": []}]
    message = {"content": None, "tool_calls": [call], "reasoning_content": "hm"}
    choice = {"message": message, "logprobs": {"content": logprobs}, "finish_reason": "tool_calls"}
    own(upstream, answers(200, {"choices": [choice]}))
    delta, finish, _ = await upstream.ask()
    assert delta.tool_calls == [{"index": 0, **call}]
    assert delta.logprobs == logprobs
    assert delta.extra == {"reasoning_content": "hm"}
    assert finish == Finish("tool_calls")


async def test_usage_is_estimated_where_there_is_none(upstream: Upstream) -> None:
    own(upstream, answers(200, {"choices": [{"message": {"content": "x" * 400}}]}))
    *_, usage = await upstream.ask({"messages": [{"role": "user", "content": "y" * 80}]})
    assert usage == Usage(20, 100)
    chunk = b'data: {"choices":[{"delta":{"content":"abcdefgh"}}]}\n\n'
    end = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    own(upstream, sse(chunk * 5, end))
    *_, usage = await upstream.ask(stream=True)
    assert usage.completion_tokens == 10
    assert usage.prompt_tokens > 0


async def test_cached_tokens_are_read(upstream: Upstream) -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    own(upstream, answers(200, {"choices": [{"message": {"content": "x"}}], "usage": usage}))
    assert (await upstream.ask())[-1] == Usage(9, 1, 8)


async def test_an_upstream_that_refuses_stream_options_is_asked_without(upstream: Upstream) -> None:
    async def reply(request: web.Request) -> web.StreamResponse:
        if "stream_options" in await request.json():
            error = {"error": {"message": "Unknown field: stream_options"}}
            return web.json_response(error, status=400)
        return await sse(
            b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
        )(request)

    own(upstream, reply)
    for _ in range(2):
        assert text(await upstream.ask(stream=True)) == "a"
    assert len(upstream.requests) == 3  # it is asked in vain only once


async def test_an_upstream_that_ignores_stream_is_understood(upstream: Upstream) -> None:
    own(upstream, answers(200, {"choices": [{"message": {"content": "all"}}]}))
    assert text(await upstream.ask(stream=True)) == "all"


async def test_an_odd_stream_is_understood(upstream: Upstream) -> None:
    head = b"\xef\xbb\xbf: hello\r\n\r\nevent: x\r\nid: 3\r\n"
    split = b'data: {"choices":\r\ndata: [{"delta":{"content":"\xc3\xa9"}}]}\r\n\r\n'
    end = b'data: {"choices":[{"delta":{},"finish_reason":"eos"}]}'  # no line end, no [DONE]
    own(upstream, sse(*(bytes([byte]) for byte in head + split + end)))
    events = await upstream.ask(stream=True)
    assert text(events) == "é"
    assert events[-2] == Finish("stop")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("hang", DeadlineExceeded, "sent nothing for 0.1 s"),
        ("reset", Unavailable, "connection to the upstream failed"),
        ("500", Unavailable, r"returned 500\.$"),
        ("429", Unavailable, "returned 429"),
        ("malformed", Unavailable, "sent malformed data"),
        ("truncate", Unavailable, "upstream (sent malformed|closed)"),
        ("html", Unavailable, r"sent malformed data\.$"),
    ],
)
async def test_each_fault_has_its_error(
    upstream: Upstream, fault: str, error: type[Exception], says: str, stream: bool
) -> None:
    upstream.stub.fault = fault
    if fault == "hang":
        change(upstream, timeout=0.1)
    with pytest.raises(error, match=says) as caught:
        await upstream.ask(stream=stream)
    assert type(caught.value) is error
    assert caught.value.retry_after == (1.0 if fault == "429" else None)
    assert upstream.backend.load.running == 0


async def test_what_came_before_a_fault_is_passed_on(upstream: Upstream) -> None:
    upstream.stub.fault = "reset"
    seen = []
    with pytest.raises(Unavailable):
        async for event in upstream.backend.generate(Ask("chat", "big", HELLO, stream=True)):
            seen.append(event)
    assert text(seen).startswith("The stub")


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (400, {"error": {"message": "temperature is too high"}}, BadInput, "too high"),
        (422, {"detail": [{"loc": ["n"], "msg": "bad"}]}, BadInput, "bad"),
        (404, {"message": "no model stub"}, BadInput, "no model stub"),
        (404, {}, Unavailable, "returned 404"),
        (302, {}, Unavailable, "returned 302"),
        (
            400,
            {"error": {"message": "too long", "code": "context_length_exceeded"}},
            ContextWindowError,
            "too long",
        ),
        (
            401,
            {"error": {"message": "wrong key sk-of-the-operator"}},
            Unavailable,
            "rejected this service",
        ),
        (
            429,
            {"error": {"message": "x", "code": "insufficient_quota"}},
            Unavailable,
            "rejected this service",
        ),
        (503, {}, Unavailable, "returned 503"),
        (504, {}, DeadlineExceeded, "returned 504"),
    ],
)
async def test_each_status_has_its_error(
    upstream: Upstream, status: int, body: Any, error: type[Exception], says: str
) -> None:
    own(upstream, answers(status, body, Location="http://127.0.0.1:1/"))
    with pytest.raises(error, match=says) as caught:
        await upstream.ask()
    assert type(caught.value) is error
    assert "sk-of" not in str(caught.value)


async def test_secrets_in_an_upstreams_words_are_redacted(upstream: Upstream) -> None:
    said = "no: sk-of-the-operator, Bearer abcdefghijklmnop1234"
    own(upstream, answers(400, {"error": {"message": said}}))
    with pytest.raises(BadInput) as caught:
        await upstream.ask()
    assert "operator" not in str(caught.value) and "abcdefghijk" not in str(caught.value)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"message": {"content": ["alice@example.com"]}, "delta": {"content": [1]}}]},
        {"trace": "alice@example.com"},
        {"error": {"message": "Traceback of alice@example.com", "code": 500}},
    ],
)
async def test_text_of_an_upstream_reaches_no_client_and_no_address_the_log(
    upstream: Upstream, answer: Any, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    own(upstream, answers(200, answer))
    if stream:
        own(upstream, sse(b"data: " + json.dumps(answer).encode() + b"\n\n"))
    with pytest.raises(Unavailable) as caught:
        await upstream.ask(stream=stream)
    assert "alice" not in str(caught.value) and "Trace" not in str(caught.value)
    assert "alice" not in caplog.text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("count", [6, 10**9, 10**30])
async def test_implausible_usage_is_estimated_and_logged(
    upstream: Upstream, count: int, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    usage = {"prompt_tokens": 10**9, "completion_tokens": count, "total_tokens": count}
    choice = {"message": {"content": "a b c"}, "delta": {"content": "a b c"}}
    answer = {"choices": [{**choice, "finish_reason": "stop"}], "usage": usage}
    own(upstream, answers(200, answer))
    if stream:
        own(upstream, sse(b"data: " + json.dumps(answer).encode() + b"\n\n"))
    *_, found = await upstream.ask({**HELLO, "max_tokens": 5}, stream=stream)
    assert 0 < found.completion_tokens <= 5 and 0 < found.prompt_tokens < 100
    assert "reported" in caplog.text


async def test_implausible_usage_of_embeddings_is_estimated(upstream: Upstream) -> None:
    data = [{"index": 0, "embedding": [1.0]}]
    own(upstream, answers(200, {"data": data, "usage": {"prompt_tokens": 10**9}}))
    found = await upstream.backend.embed(Ask("embedding", "big", {"input": "hello"}))
    assert 0 < found.prompt_tokens < 20


async def test_an_error_within_a_stream_is_raised(upstream: Upstream) -> None:
    own(upstream, sse(b'data: {"error": {"message": "out of memory", "code": 500}}\n\n'))
    with pytest.raises(Unavailable, match="returned 500"):
        await upstream.ask(stream=True)


async def test_retry_after_may_be_a_date(upstream: Upstream) -> None:
    at = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 300))
    own(upstream, answers(429, {}, **{"Retry-After": at}))
    with pytest.raises(Unavailable) as caught:
        await upstream.ask()
    assert 200 < caught.value.retry_after <= 301


async def test_an_event_without_an_end_is_cut_off(upstream: Upstream) -> None:
    own(upstream, sse(*[b"data: " + b"x" * 2**20] * 20))
    with pytest.raises(Unavailable, match="larger than"):
        await upstream.ask(stream=True)


async def test_an_unreachable_upstream_is_unavailable(upstream: Upstream) -> None:
    change(upstream, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(Unavailable, match="cannot connect"):
        await upstream.ask()


async def test_closing_the_generator_ends_the_upstreams_work(upstream: Upstream) -> None:
    upstream.stub.between = 0.2
    stream = upstream.backend.generate(Ask("chat", "big", HELLO, stream=True))
    assert (await anext(stream)).text == "The"
    assert upstream.stub.open == 1
    await stream.aclose()
    async with asyncio.timeout(30):
        while upstream.stub.open:
            await asyncio.sleep(0.01)
    assert upstream.stub.finished == 0
    assert upstream.backend.load.running == 0


async def test_finished_answers_share_one_connection(upstream: Upstream) -> None:
    for stream in (True, False, True):
        await upstream.ask(stream=stream)
    assert sum(map(len, upstream.backend._session.connector._conns.values())) == 1


async def test_stream_that_ends_after_done_gives_its_connection_back(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_service.models.remote.upstream._END_OF_BODY", 30)
    end = (
        b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    own(upstream, sse(end, pause=0.02))
    await upstream.ask(stream=True)
    assert sum(map(len, upstream.backend._session.connector._conns.values())) == 1


async def test_a_stream_with_done_but_no_reason_is_finished(upstream: Upstream) -> None:
    own(upstream, sse(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\ndata: [DONE]\n\n'))
    assert (await upstream.ask(stream=True))[1] == Finish("stop")
    own(upstream, sse(b"data: [DONE]\n\n"))
    with pytest.raises(Unavailable, match="closed the stream before"):
        await upstream.ask(stream=True)


async def test_a_usage_of_nothing_is_not_believed(upstream: Upstream) -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 0}
    own(upstream, answers(200, {"choices": [{"message": {"content": "x" * 8}}], "usage": usage}))
    assert (await upstream.ask())[-1] == Usage(2, 2)


async def test_stream_does_not_wait_for_an_end_that_does_not_come(upstream: Upstream) -> None:
    end = (
        b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    own(upstream, sse(end, pause=60))
    began = time.monotonic()
    assert text(await upstream.ask(stream=True)) == "x"
    assert time.monotonic() - began < 20


async def test_vectors_of_the_wrong_number_are_refused(upstream: Upstream) -> None:
    own(upstream, answers(200, {"data": [{"index": 0, "embedding": [0.1]}]}))
    with pytest.raises(Unavailable, match="malformed"):
        await upstream.backend.embed(Ask("embedding", "big", {"input": ["a", "b"]}))


@pytest.mark.parametrize(
    "body", [[], {"choices": []}, {"choices": [3]}, {"choices": [{"message": 4}]}]
)
async def test_an_answer_of_another_shape_is_malformed(upstream: Upstream, body: Any) -> None:
    own(upstream, answers(200, body))
    with pytest.raises(Unavailable, match="malformed"):
        await upstream.ask()
    own(upstream, sse(b"data: " + json.dumps(body or 3).encode() + b"\n\n"))
    with pytest.raises(Unavailable):
        await upstream.ask(stream=True)
