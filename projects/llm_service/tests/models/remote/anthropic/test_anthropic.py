"""Anthropic's API in OpenAI's terms: the request's translation, and answers over a socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from stub_upstream import Stub

from llm_service.models.entry import ModelEntry
from llm_service.models.remote.anthropic.backend import AnthropicBackend
from llm_service.models.remote.anthropic.request import request_of
from llm_service.models.remote.upstream import open_session
from llm_service.models.table import Table
from llm_service.request import Ask, Delta, Event, Finish, Usage
from seedbed.errors import BadInput, Unavailable
from seedbed.settings import Settings

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
AS_JSON = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}


class Upstream:
    def __init__(self, stub: Stub, backend: AnthropicBackend) -> None:
        self.stub, self.backend = stub, backend
        self.reply: web.Response | None = None

    async def ask(self, body: dict[str, Any] = HELLO, **more: Any) -> list[Event]:
        return [event async for event in self.backend.generate(Ask("chat", "c", body, **more))]


@pytest.fixture
async def upstream(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Upstream]:
    monkeypatch.setenv("STUB_KEY", "the-key")
    stub = Stub(tokens=4, keep=True)
    app = stub.app()
    found: Upstream

    @web.middleware
    async def reply(request: web.Request, handler: Any) -> web.StreamResponse:
        assert request.headers["x-api-key"] == "the-key"
        assert request.headers["anthropic-version"] == "2023-06-01"
        return found.reply or await handler(request)

    app.middlewares.append(reply)
    async with TestServer(app) as server, open_session() as session:
        entry = ModelEntry(
            name="c",
            backend="anthropic",
            base_url=str(server.make_url("/v1")),
            model="claude",
            api_key_env="STUB_KEY",
            timeout=50,
        )
        found = Upstream(stub, AnthropicBackend("c", entry, session))
        yield found


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_text_answer(upstream: Upstream, stream: bool) -> None:
    events = await upstream.ask(stream=stream)
    assert text(events) == "The stub says the"
    assert sum(isinstance(event, Delta) for event in events) == (4 if stream else 1)
    assert events[-2] == Finish("stop")
    assert isinstance(events[-1], Usage)
    assert events[-1].completion_tokens == 4 and events[-1].prompt_tokens > 0
    events = await upstream.ask({**HELLO, "max_tokens": 2}, stream=stream)
    assert (text(events), events[-2]) == ("The stub", Finish("length"))


async def test_passthrough_parameters_go_out(upstream: Upstream) -> None:
    entry = upstream.backend.entry.model_copy(update={"passthrough": ("container",)})
    upstream.backend.entry = entry
    await upstream.ask({**HELLO, "container": "c"})
    assert upstream.stub.seen[-1]["container"] == "c"
    with pytest.raises(BadInput, match="top_a"):
        await upstream.ask({**HELLO, "top_a": 1})


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_call(upstream: Upstream, stream: bool) -> None:
    choice = {"type": "function", "function": {"name": "weather"}}
    body = {**HELLO, "tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": False}
    events = await upstream.ask(body, stream=stream)
    calls = [call for event in events if isinstance(event, Delta) for call in event.tool_calls]
    assert {call["index"] for call in calls} == {0}
    assert (calls[0]["id"], calls[0]["function"]["name"]) == ("toolu_stub", "weather")
    arguments = "".join(call["function"]["arguments"] for call in calls)
    assert json.loads(arguments) == {"city": "Bern"}
    assert events[-2] == Finish("tool_calls")
    sent = upstream.stub.seen[-1]
    assert sent["tools"][0]["input_schema"] == TOOL["function"]["parameters"]
    assert sent["tool_choice"]["disable_parallel_tool_use"] is True


@pytest.mark.parametrize("stream", [False, True])
async def test_a_schema_is_kept_by_a_forced_tool(upstream: Upstream, stream: bool) -> None:
    events = await upstream.ask({**HELLO, "response_format": AS_JSON}, stream=stream)
    assert json.loads(text(events)) == {"city": "Bern"}
    assert not any(event.tool_calls for event in events if isinstance(event, Delta))
    assert events[-2] == Finish("stop")
    sent = upstream.stub.seen[-1]
    assert sent["tools"][0]["input_schema"] == SCHEMA
    assert sent["tool_choice"] == {"type": "tool", "name": sent["tools"][0]["name"]}


def test_messages_are_translated() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    request = request_of(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
                {"role": "user", "content": "look"},
                {"role": "user", "content": [image]},
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "1", "content": "sunny"},
                {"role": "user", "content": "and?"},
            ],
            "stop": "END",
            "temperature": 1.7,
            "top_p": 0.5,
            "user": "u1",
        },
        "claude",
        "c",
    )
    assert request["system"] == "Be brief.\n\nBe kind."
    assert [turn["role"] for turn in request["messages"]] == ["user", "assistant", "user"]
    look, use, result = (turn["content"] for turn in request["messages"])
    assert look[1]["source"] == {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert use == [{"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]
    assert result[0] == {"type": "tool_result", "tool_use_id": "1", "content": "sunny"}
    assert result[1] == {"type": "text", "text": "and?"}
    assert request["stop_sequences"] == ["END"]
    assert (request["temperature"], request["top_p"], request["max_tokens"]) == (1.0, 0.5, 1024)
    assert request["metadata"] == {"user_id": "u1"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("auto", "auto"), ("none", "none"), ("required", "any")],
)
def test_tool_choice_is_translated(choice: str, expected: str) -> None:
    request = request_of({**HELLO, "tools": [TOOL], "tool_choice": choice}, "claude", "c")
    assert request["tool_choice"] == {"type": expected}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seed", 0),
        ("n", 2),
        ("logprobs", True),
        ("logit_bias", {"1": 2}),
        ("frequency_penalty", 0.5),
        ("ignore_eos", True),
        ("min_tokens", 3),
    ],
)
async def test_what_is_not_supported_is_refused_by_name(
    upstream: Upstream, field: str, value: Any
) -> None:
    with pytest.raises(BadInput, match=field):
        await upstream.ask({**HELLO, field: value})
    assert upstream.stub.requests == 0


def test_what_changes_nothing_is_let_through() -> None:
    body = {**HELLO, "n": 1, "logprobs": False, "frequency_penalty": 0, "logit_bias": {}}
    assert set(request_of(body, "claude", "c")) == {"model", "max_tokens", "messages"}


async def test_other_kinds_are_refused(upstream: Upstream) -> None:
    with pytest.raises(BadInput, match="embeddings"):
        await upstream.backend.embed(Ask("embedding", "c", {"input": "x"}))
    with pytest.raises(BadInput, match="response_format together with tools"):
        await upstream.ask({**HELLO, "tools": [TOOL], "response_format": AS_JSON})


async def test_cached_tokens_belong_to_the_prompt(upstream: Upstream) -> None:
    usage = {
        "input_tokens": 3,
        "cache_read_input_tokens": 10,
        "cache_creation_input_tokens": 5,
        "output_tokens": 2,
    }
    thought = {"type": "thinking", "thinking": "hm"}
    content = [thought, {"type": "text", "text": "yes"}]
    message = {"content": content, "stop_reason": "refusal", "usage": usage}
    upstream.reply = web.json_response(message)
    delta, finish, counted = await upstream.ask()
    assert delta == Delta("yes", tokens=2, extra={"reasoning_content": "hm"}, tool_calls=[])
    assert finish == Finish("content_filter")
    assert counted == Usage(18, 2, 10)


async def test_a_streams_usage_is_put_together(upstream: Upstream) -> None:
    start = {"input_tokens": 3, "cache_read_input_tokens": 10, "output_tokens": 1}
    events = [
        {"type": "message_start", "message": {"usage": start}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "thinking_delta", "thinking": "hm"},
        },
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": "x"},
        },
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]
    data = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    upstream.reply = web.Response(text=data, content_type="text/event-stream")
    delta, finish, usage = await upstream.ask(stream=True)
    assert (delta, finish) == (Delta(extra={"reasoning_content": "hm"}), Finish("stop"))
    assert usage == Usage(13, 7, 10)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["500", "reset", "malformed", "truncate", "html"])
async def test_each_fault_is_unavailable(upstream: Upstream, fault: str, stream: bool) -> None:
    upstream.stub.fault = fault
    with pytest.raises(Unavailable):
        await upstream.ask(stream=stream)
    assert upstream.backend.load.running == 0


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (529, "overloaded_error", Unavailable),
        (429, "rate_limit_error", Unavailable),
        (401, "authentication_error", Unavailable),
        (400, "invalid_request_error", BadInput),
    ],
)
async def test_errors(upstream: Upstream, status: int, kind: str, error: type[Exception]) -> None:
    body = {"type": "error", "error": {"type": kind, "message": "because"}}
    upstream.reply = web.json_response(body, status=status)
    with pytest.raises(error) as caught:
        await upstream.ask()
    assert type(caught.value) is error
    data = f"event: error\ndata: {json.dumps(body)}\n\n"
    upstream.reply = web.Response(text=data, content_type="text/event-stream")
    with pytest.raises(error):
        await upstream.ask(stream=True)


def test_anthropic_spec_becomes_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    table = Table.load(None, Settings(model="anthropic:claude-opus-5"))
    entry = table.models[table.default]
    assert (entry.backend, entry.base_url) == ("anthropic", "https://api.anthropic.com/v1")
    with pytest.raises(ValueError, match="does not support embeddings"):
        entry.model_validate({**entry.model_dump(exclude_unset=True), "kind": "embedding"})
