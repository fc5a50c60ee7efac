"""Remote models against a vendor server that is as strict as the vendors are.

The replies are scripted: they prove the plumbing, never a model's quality.
"""

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from pydantic import BaseModel

from seedbed import errors
from seedbed.models.load import load_chat_model
from seedbed.models.remote import providers
from seedbed.models.remote.remote_chat import RemoteChatModel
from seedbed.models.structured_reply import structured_reply
from seedbed.observe.telemetry import UsageCallback
from seedbed.settings import Settings
from seedbed.testing.launch import serve_app
from seedbed.testing.vendor.script import Reply
from seedbed.testing.vendor.server import Vendor, launch_vendor

OPENAI, ANTHROPIC = "openai:gpt-4o-mini", "anthropic:claude-haiku-4-5"
PRICES = {OPENAI: (0.15, 0.6), ANTHROPIC: (1.0, 5.0)}
each_provider = pytest.mark.parametrize("spec", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for vendor in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{vendor}_API_KEY", "test-key")
    yield


def load(vendor: Vendor, spec: str, **kwargs: Any) -> RemoteChatModel:
    if spec == ANTHROPIC:  # whose package a project that was copied out does not install
        pytest.importorskip("langchain_anthropic")
    url = vendor.url if spec == ANTHROPIC else f"{vendor.url}/v1"
    settings = Settings(base_url=url, _env_file=None)
    defaults = {"timeout": 20, "first_wait": 0.01}
    model = load_chat_model(spec, settings=settings, **(defaults | kwargs))
    assert isinstance(model, RemoteChatModel)
    return model


def lookup(city: str) -> str:
    """The weather in a city."""
    return f"Sunny in {city}"


FAULTS: dict[str, tuple[Reply, type[errors.SeedbedError]]] = {
    "bad key": (Reply(fault="401"), errors.ModelAccessError),
    "forbidden": (Reply(fault="403"), errors.ModelAccessError),
    "no quota": (Reply(fault="insufficient_quota"), errors.ModelAccessError),
    "unknown model": (Reply(fault="404"), errors.ModelNotFound),
    "rate limit": (Reply(fault="429"), errors.RateLimited),
    "internal error": (Reply(fault="500"), errors.ModelUnavailable),
    "page of a proxy": (Reply(fault="502"), errors.ModelUnavailable),
    "overloaded": (Reply(fault="529"), errors.ModelUnavailable),
    "never answers": (Reply(fault="hang"), errors.ModelTimeout),
    "drips": (Reply(fault="drip"), errors.ModelTimeout),
    "slow first token": (Reply("Hello.", delay=60), errors.ModelTimeout),
    "cut off by the network": (Reply("Hello, how are you?", fault="cut"), errors.ModelUnavailable),
    "error event": (Reply("Hello, how are you?", fault="stream_error"), errors.ModelUnavailable),
    "no choices": (Reply(fault="empty_choices"), errors.ModelError),
    "empty": (Reply(""), errors.EmptyReply),
    "cut off by length": (Reply("Hello, how", finish="length"), errors.ReplyCutOff),
    "content filter": (Reply("", finish="content_filter"), errors.ReplyRefused),
    "refusal": (Reply(refusal="I cannot help with that."), errors.ReplyRefused),
}


MOST = ("rate limit", "overloaded", "cut off by the network", "error event", "empty", "refusal")


@pytest.mark.parametrize(
    ("fault", "mode", "spec"),
    [
        *((fault, "invoke", OPENAI) for fault in FAULTS),
        *((fault, "astream", OPENAI) for fault in (*MOST, "drips", "cut off by length")),
        *((fault, "invoke", ANTHROPIC) for fault in MOST),
        *((fault, "astream", ANTHROPIC) for fault in MOST[2:]),
    ],
)
def test_fault_is_a_named_error_with_usage(fault: str, mode: str, spec: str) -> None:
    reply, expected = FAULTS[fault]
    with launch_vendor([reply]) as vendor:
        timeout = 0.3 if expected is errors.ModelTimeout else 20
        model, usage = load(vendor, spec, attempts=1, timeout=timeout), UsageCallback()
        with pytest.raises(expected) as caught:
            call(model, mode, usage)
        error = caught.value
        assert isinstance(error, errors.ModelError)
        assert str(error).startswith(spec) and "\n" not in str(error) and len(str(error)) < 400
        assert vendor.problems == []
        # What the vendor counted, and may charge, is in the error.
        tokens = vendor.usage.input_tokens + vendor.usage.output_tokens
        assert usage.tokens == tokens
        counted = (vendor.usage.input_tokens, vendor.usage.output_tokens)
        dollars = sum(n * usd for n, usd in zip(counted, PRICES[spec], strict=True)) / 1e6
        assert error.cost_usd is None or error.cost_usd == pytest.approx(dollars)


def call(model: RemoteChatModel, mode: str, usage: UsageCallback) -> str:
    config: Any = {"callbacks": [usage]}

    async def consume() -> str:
        return "".join([str(chunk.text) async for chunk in model.astream("Hello", config)])

    if mode == "astream":
        return asyncio.run(consume())
    if mode == "ainvoke":
        return str(asyncio.run(model.ainvoke("Hello", config)).text)
    if mode == "stream":
        return "".join(str(chunk.text) for chunk in model.stream("Hello", config))
    return str(model.invoke("Hello", config).text)


@each_provider
@pytest.mark.parametrize("mode", ["invoke", "stream", "ainvoke", "astream"])
def test_reply_has_text_usage_and_cost_to_the_cent(mode: str, spec: str) -> None:
    with launch_vendor(["Hello, how are you today?"] * 2) as vendor:
        model, usage = load(vendor, spec), UsageCallback()
        # Twice: an event loop of a first call may be gone at the second.
        assert [call(model, mode, usage) for _ in range(2)] == ["Hello, how are you today?"] * 2
    counted = (vendor.usage.input_tokens, vendor.usage.output_tokens)
    assert (usage.input_tokens, usage.output_tokens) == counted
    assert min(counted) > 0
    dollars = sum(n * usd for n, usd in zip(counted, PRICES[spec], strict=True)) / 1e6
    assert usage.cost_usd == pytest.approx(dollars, rel=1e-9)


@pytest.mark.parametrize("fault", ["429", "500", "503", "502", "cut"])
def test_call_is_retried_after_a_passing_fault(fault: str) -> None:
    with launch_vendor([Reply("no", fault=fault, retry_after=0.01), "Yes."]) as vendor:
        assert load(vendor, OPENAI).invoke("Hello").text == "Yes."
        assert len(vendor.calls) == 2


@each_provider
def test_retry_waits_as_long_as_the_vendor_advises(spec: str) -> None:
    replies = [Reply(fault="429", retry_after=0.4), "Yes.", Reply(fault="429", retry_after=30)]
    with launch_vendor(replies) as vendor:
        started = time.monotonic()
        assert load(vendor, spec).invoke("Hello").text == "Yes."
        assert time.monotonic() - started >= 0.4
        with pytest.raises(errors.RateLimited) as caught:  # a retry would miss the deadline
            load(vendor, spec, timeout=5).invoke("Hello")
        assert caught.value.retry_after == 30 and len(vendor.calls) == 3


def test_request_that_the_vendor_rejects_names_the_problem() -> None:
    tool = {"type": "function", "function": {"name": "mail.send", "description": "Sends."}}
    with launch_vendor(["never"], models={"gpt-4o-mini": 50}) as vendor:
        with pytest.raises(errors.ModelRequestError, match=r"\(400\).*tools"):
            load(vendor, OPENAI).bind_tools([tool]).invoke("Hello")
        with pytest.raises(errors.ContextWindowError, match="gpt-4o-mini"):
            load(vendor, OPENAI).invoke("word " * 200)
        assert len(vendor.calls) == 2


@pytest.mark.parametrize("fault", ["401", "404", "insufficient_quota"])
def test_lasting_fault_is_not_retried(fault: str) -> None:
    with launch_vendor([Reply(fault=fault), "never"]) as vendor:
        with pytest.raises(errors.ModelError):
            load(vendor, OPENAI).invoke("Hello")
        assert len(vendor.calls) == 1


@each_provider
def test_deadline_ends_the_request(spec: str) -> None:
    with launch_vendor([Reply(fault="hang")]) as vendor:
        with pytest.raises(errors.ModelTimeout):
            load(vendor, spec).invoke("Hello", timeout=0.3)
        vendor.wait_until(lambda: vendor.calls[0].disconnected)


@each_provider
def test_cancelled_call_ends_the_request(spec: str) -> None:
    with launch_vendor([Reply(fault="hang")]) as vendor:
        model = load(vendor, spec)

        async def cancel() -> None:
            task = asyncio.ensure_future(model.ainvoke("Hello"))
            await asyncio.to_thread(vendor.wait_until, lambda: vendor.calls)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancel())
        vendor.wait_until(lambda: vendor.calls[0].disconnected)


@pytest.mark.parametrize("fault", ["hang", "stall"])
def test_event_cancels_stream_of_another_thread(fault: str) -> None:
    with launch_vendor([Reply("Hello, how are you?", fault=fault)]) as vendor:
        cancel, usage = threading.Event(), UsageCallback()
        model = load(vendor, OPENAI, cancel=cancel)
        with ThreadPoolExecutor(1) as thread:
            future = thread.submit(call, model, "stream", usage)
            vendor.wait_until(lambda: vendor.calls)
            cancel.set()
            with pytest.raises(CancelledError):
                future.result(timeout=10)
        vendor.wait_until(lambda: vendor.calls[0].disconnected)
        assert len(vendor.calls) == 1


@each_provider
def test_closed_stream_ends_the_request(spec: str) -> None:
    with launch_vendor([Reply("Hello, how are you?", fault="stall")]) as vendor:
        stream = load(vendor, spec).stream("Hello")
        next(stream)
        stream.close()
        vendor.wait_until(lambda: vendor.calls[0].disconnected)


def test_key_is_not_part_of_an_error() -> None:
    with launch_vendor(["never"], key="sk-right") as vendor:
        model = load(vendor, OPENAI, api_key="sk-wrong-0123456789abcdef0123")
        with pytest.raises(
            errors.ModelAccessError, match=r"\(401\).*Check OPENAI_API_KEY"
        ) as caught:
            model.invoke("Hello")
    assert "sk-wrong" not in str(caught.value)


# ── fallbacks ────────────────────────────────────────────────────────────────────────────────


def test_second_model_streams_where_the_first_fails() -> None:
    with launch_vendor([Reply(fault="503"), "From the second."]) as vendor:
        model = load(vendor, f"{OPENAI},openai:gpt-4o", attempts=1)
        assert call(model, "stream", UsageCallback()) == "From the second."
        assert [one.body["model"] for one in vendor.calls] == ["gpt-4o-mini", "gpt-4o"]


def test_reply_names_the_model_that_answered_and_its_cost() -> None:
    with launch_vendor(["", "Hello."]) as vendor:
        model = load(vendor, f"{OPENAI},openai:gpt-4o", attempts=1)
        reply = model.invoke("Hello")
    assert reply.response_metadata["spec"] == "openai:gpt-4o"
    inputs = vendor.usage.input_tokens / 2  # the same prompt twice
    dollars = (inputs * (0.15 + 2.5) + vendor.usage.output_tokens * 10) / 1e6
    assert reply.response_metadata["cost_usd"] == pytest.approx(dollars)


def test_model_on_this_machine_can_be_the_last_resort(tmp_path: Any) -> None:
    (tmp_path / "script.json").write_text('["From here."]')
    with launch_vendor([Reply(fault="503")]) as vendor:
        model = load(vendor, f"{OPENAI},scripted:{tmp_path}/script.json", attempts=1)
        assert model.invoke("Hello").text == "From here."


# ── tools ────────────────────────────────────────────────────────────────────────────────────


@each_provider
@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_twelve_parallel_calls_and_their_results_are_accepted(mode: str, spec: str) -> None:
    calls = [("lookup", {"city": f"City {n}"}) for n in range(12)]
    with launch_vendor([Reply(tool_calls=calls), "All sunny."]) as vendor:
        model = load(vendor, spec).bind_tools([lookup])
        messages: list[Any] = [HumanMessage("The weather in twelve cities?")]
        if mode == "stream":
            chunks = list(model.stream(messages))
            reply = sum(chunks[1:], chunks[0])
        else:
            reply = model.invoke(messages)
        assert [(c["name"], c["args"]) for c in reply.tool_calls] == calls
        messages += [
            reply,
            *(ToolMessage("Sunny.", tool_call_id=c["id"]) for c in reply.tool_calls),
        ]
        assert model.invoke(messages).text == "All sunny."
        assert vendor.problems == []


@each_provider
@pytest.mark.parametrize("choice", ["auto", "any", "lookup", "none"])
def test_tool_choice_is_accepted(choice: str, spec: str) -> None:
    with launch_vendor(["Fine."]) as vendor:
        model = load(vendor, spec).bind_tools([lookup], tool_choice=choice)
        assert model.invoke("Hello").text == "Fine."
        assert vendor.problems == []


def test_arguments_that_are_not_json_are_asked_for_once_more() -> None:
    replies = [Reply(tool_calls=[("lookup", '{"city": ')])]
    replies += [Reply(tool_calls=[("lookup", {"city": "Paris"})])]
    with launch_vendor(replies) as vendor:
        reply = load(vendor, OPENAI).bind_tools([lookup]).invoke("Weather?")
    assert reply.tool_calls[0]["args"] == {"city": "Paris"}


@each_provider
def test_streamed_arguments_that_are_not_json_are_an_error(spec: str) -> None:
    with launch_vendor([Reply(tool_calls=[("lookup", '{"city": ')])]) as vendor:
        model = load(vendor, spec).bind_tools([lookup])
        with pytest.raises(errors.InvalidReply, match="'lookup'"):
            list(model.stream("Weather?"))


def test_parameter_that_a_model_rejects_is_not_sent_again_in_this_process() -> None:
    with launch_vendor(["Hello."] * 2) as vendor:
        for _ in range(2):
            model = load(vendor, "openai:gpt-5-mini", top_p=0.9)
            assert model.invoke("Hello").text == "Hello."
    assert [call.status for call in vendor.calls] == [400, 200, 200]
    assert "top_p" not in vendor.calls[-1].body


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (OPENAI, "max_tokens"),
        ("openai:o4-mini", "max_completion_tokens"),
        ("openai:gpt-5-mini", "max_completion_tokens"),
        (ANTHROPIC, "max_tokens"),
    ],
)
def test_token_limit_of_a_call_has_the_name_that_the_model_accepts(spec: str, name: str) -> None:
    with launch_vendor(["Hello."] * 3) as vendor:
        model = load(vendor, spec, max_tokens=70)
        model.invoke("Hello")
        model.invoke("Hello", max_tokens=50)
        list(model.stream("Hello", max_tokens=50))
        assert vendor.problems == []
    assert [call.body[name] for call in vendor.calls] == [70, 50, 50]
    limits = {"max_tokens", "max_completion_tokens"}
    assert all(limits & call.body.keys() == {name} for call in vendor.calls)


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_usage_that_the_vendor_does_not_report_is_unknown(mode: str) -> None:
    with launch_vendor([Reply("Hello.", usage=False)]) as vendor:
        model = load(vendor, OPENAI)
        usage = UsageCallback()
        call(model, mode, usage)
    assert usage.cost_usd is None and not usage.complete


# ── the size of a reply ──────────────────────────────────────────────────────────────────────


class HugeServer:
    """A server of OpenAI's protocol whose reply does not end, or is compressed."""

    def __init__(self, kind: str, compressed: bool) -> None:
        encoding = [(b"content-encoding", b"gzip")] if compressed else []
        self.headers = [(b"content-type", kind.encode()), *encoding]
        event = b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n'
        part = event % (b"word " * 20_000) if kind == "text/event-stream" else b" " * 100_000
        self.part = gzip.compress(part) if compressed else part

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": self.part, "more_body": True})


@pytest.mark.parametrize("spec", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_reply_without_an_end_is_one_sentence(
    mode: str, compressed: bool, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if spec == ANTHROPIC:
        pytest.importorskip("langchain_anthropic")
    monkeypatch.setattr(providers, "MAX_BODY", 1_000_000)
    kind = "text/event-stream" if mode == "stream" else "application/json"
    server = HugeServer(kind, compressed)
    with serve_app(server) as url:
        settings = Settings(base_url=url if spec == ANTHROPIC else f"{url}/v1", _env_file=None)
        model = load_chat_model(spec, settings=settings, timeout=20)
        problem = "compressed" if compressed else "over 1,000,000 bytes"
        with pytest.raises(errors.InvalidReply, match=problem):
            call(model, mode, UsageCallback())


# ── structured replies ───────────────────────────────────────────────────────────────────────


class Line(BaseModel):
    """One item of an order."""

    name: str
    price: float | None = None


class Order(BaseModel):
    """An order, with an optional field and nested items."""

    number: str
    lines: list[Line]
    note: str = "none"


ORDER = '{"number": "A1", "lines": [{"name": "cup", "price": 2.5}]}'
CUP = Order(number="A1", lines=[Line(name="cup", price=2.5)])


def structured(spec: str, text: str) -> Reply:
    """A structured reply in the form of the provider: text, or the arguments of the forced tool."""
    if spec.startswith("openai"):
        return Reply(text)
    return Reply(tool_calls=[("Order", json.loads(text))])


@each_provider
def test_structured_reply_is_accepted_validated_and_repaired(spec: str) -> None:
    replies = [structured(spec, text) for text in ('{"number": "A1"}', ORDER, '{"value": "red"}')]
    with launch_vendor(replies) as vendor:
        # The second turn has no open tool call, which vendors refuse.
        assert structured_reply(load(vendor, spec), "Read the order.", Order) == CUP
        schema = {"title": "Order", "type": "string", "enum": ["red", "blue"]}  # no object: wrapped
        assert structured_reply(load(vendor, spec), "Colour?", schema) == "red"
        assert vendor.problems == []


@pytest.mark.parametrize(
    "wrong",
    [
        "I think the order is A1.",
        '{"number": "A1", "lines": [{"name": "cup", "price": NaN}]}',
        '{"number": "A1", "lines": [{"price": 3}]}',
    ],
    ids=["text", "NaN", "missing field"],
)
def test_invalid_reply_gets_one_repair_turn_that_quotes_the_problem(wrong: str) -> None:
    with launch_vendor([wrong, ORDER, wrong, wrong]) as vendor:
        model, usage = load(vendor, OPENAI), UsageCallback()
        assert structured_reply(model, "Read.", Order, config={"callbacks": [usage]}) == CUP
        assert "cannot be used" in str(vendor.calls[1].body["messages"][-1]["content"])
        assert usage.input_tokens == vendor.usage.input_tokens
        with pytest.raises(errors.InvalidReply):
            structured_reply(model, "Read.", Order)
        assert vendor.problems == []


NUMBER = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
NUMBER_OR_TEXT = {"type": "object", "required": ["total"]}


def test_reply_that_a_wider_schema_accepts_is_not_asked_for_again() -> None:
    with launch_vendor(['{"total": "9,50 €"}']) as vendor:
        reply = structured_reply(load(vendor, OPENAI), "Total?", NUMBER, accept=NUMBER_OR_TEXT)
    assert reply == {"total": "9,50 €"}
    sent = vendor.calls[0].body["response_format"]["json_schema"]["schema"]
    assert sent["properties"]["total"]["type"] == "number"
