"""Models of vendors through LangChain, against a server that is as strict as Anthropic's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from llm_service.models.entry import ModelEntry
from llm_service.models.remote.langchain import LangChainBackend
from llm_service.models.table import Table
from llm_service.request import Ask, Delta, Event, Finish, Usage
from seedbed.errors import BadInput, ContextWindowError, SeedbedError, Unavailable
from seedbed.settings import Settings
from seedbed.testing.vendor.script import Fault, Reply
from seedbed.testing.vendor.server import Vendor, launch_vendor

pytest.importorskip("langchain_anthropic")
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}]}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
AS_JSON = {"type": "json_schema", "json_schema": {"name": "place", "schema": PARAMETERS}}


class Upstream:
    def __init__(self, vendor: Vendor, backend: LangChainBackend) -> None:
        self.vendor, self.backend = vendor, backend

    async def ask(self, **more: Any) -> list[Event]:
        ask = Ask("chat", "c", {**HELLO, **more})
        return [event async for event in self.backend.generate(ask)]


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("VENDOR_KEY", "test-key")

    @asynccontextmanager
    async def serve(*replies: str | Reply) -> AsyncIterator[Any]:
        with launch_vendor(replies) as vendor:
            about: Any = {
                "backend": "anthropic",
                "model": "claude-haiku-4-5",
                "base_url": vendor.url,
            }
            entry = ModelEntry(name="c", api_key_env="VENDOR_KEY", **about)
            yield Upstream(vendor, LangChainBackend("c", entry))

    return serve


def text(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


async def test_text_is_streamed_and_counted(upstream: Any) -> None:
    async with upstream("Nine planets, or eight.", "Nine planets, or eight.") as served:
        events = await served.ask()
        assert text(events) == "Nine planets, or eight."
        assert sum(isinstance(event, Delta) for event in events) > 1
        counted = served.vendor.usage
        usage = Usage(counted.input_tokens, counted.output_tokens)
        assert events[-2:] == [Finish("stop"), usage]
        events = await served.ask(max_tokens=2, stop="END", temperature=0.5)
        assert (text(events), events[-2]) == ("Nine pla", Finish("length"))
        body = served.vendor.calls[-1].body
        assert (body["max_tokens"], body["stop_sequences"]) == (2, ["END"])


async def test_a_conversation_is_translated(upstream: Any) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "look"}, image]},
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]
    async with upstream("Sunny.") as served:
        assert text(await served.ask(messages=messages, tools=[TOOL])) == "Sunny."
        assert not served.vendor.problems
        body = served.vendor.calls[-1].body
        assert "Be brief." in str(body["system"])
        assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
        with pytest.raises(BadInput, match="input_audio"):
            await served.ask(messages=[{"role": "user", "content": [{"type": "input_audio"}]}])


async def test_tool_calls_are_streamed(upstream: Any) -> None:
    calls = [("weather", {"city": "Bern"}), ("weather", {"city": "Basel"})]
    choice = {"type": "function", "function": {"name": "weather"}}
    sent = {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}
    async with upstream(Reply("Looking.", tool_calls=calls)) as served:
        events = await served.ask(tools=[TOOL], tool_choice=choice, parallel_tool_calls=False)
        assert served.vendor.calls[-1].body["tool_choice"] == sent
        assert not served.vendor.problems
    parts = [part for event in events if isinstance(event, Delta) for part in event.tool_calls]
    for index, (name, arguments) in enumerate(calls):
        first, *rest = [part for part in parts if part["index"] == index]
        assert first["id"] and first["function"]["name"] == name
        written = "".join(part["function"]["arguments"] for part in (first, *rest))
        assert json.loads(written) == arguments
    assert (text(events), events[-2]) == ("Looking.", Finish("tool_calls"))


async def test_a_reply_by_a_schema_is_its_json(upstream: Any) -> None:
    async with upstream(Reply(tool_calls=[("reply", {"city": "Bern"})])) as served:
        first, finish, usage = await served.ask(response_format=AS_JSON)
        assert json.loads(first.text) == {"city": "Bern"} and not first.tool_calls
        assert finish == Finish("stop") and usage.completion_tokens > 0
        assert served.vendor.calls[-1].body["tools"][0]["input_schema"] == PARAMETERS


@pytest.mark.parametrize(
    "field",
    [
        {"seed": 0},
        {"response_format": {"type": "json_object"}},
        {"response_format": AS_JSON, "tools": [TOOL]},
    ],
)
async def test_what_is_not_supported_is_refused_by_name(upstream: Any, field: Any) -> None:
    async with upstream() as served:
        with pytest.raises(BadInput, match=next(iter(field))):
            await served.ask(**field)
        assert not served.vendor.calls


async def test_a_client_that_leaves_ends_the_request(upstream: Any) -> None:
    async with upstream(Reply("one two three", fault="stall")) as served:
        stream = served.backend.generate(Ask("chat", "c", HELLO))
        assert await anext(stream)
        assert served.backend.load.running == 1
        await stream.aclose()
        call = served.vendor.calls[0]
        await asyncio.to_thread(served.vendor.wait_until, lambda: call.disconnected)
        assert served.backend.load.running == 0


LONG = "prompt is too long: 9 tokens > 8 maximum"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        *((fault, Unavailable) for fault in ("401", "429", "500", "cut")),
        (Fault(400, "temperature: too high"), BadInput),
        (Fault(400, LONG), ContextWindowError),
    ],
)
async def test_failures(upstream: Any, fault: Any, error: type[SeedbedError]) -> None:
    async with upstream(Reply("one two three", fault=fault)) as served:
        with pytest.raises(error) as caught:
            await served.ask()
        assert "test-key" not in str(caught.value)
        assert served.backend.load.running == 0
        if fault == "401":
            assert "API key" in str(caught.value) and caught.value.retry_after == 60


def test_a_vendors_spec_becomes_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    table = Table.load(None, Settings(model="anthropic:claude-sonnet-4-6"))
    entry = table.models[table.default]
    assert (entry.backend, entry.base_url, entry.prices) == ("anthropic", "", (3.0, 15.0))
    with pytest.raises(ValueError, match="embeddings"):
        entry.model_validate({**entry.model_dump(exclude_unset=True), "kind": "embedding"})
