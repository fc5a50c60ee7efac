"""Anthropic's Messages API, read by Anthropic's own types and driven by its own client."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter
from service_fakes import source

from llm_service.protocol.body import BadParameter
from llm_service.protocol.events import About, send
from llm_service.protocol.messages import answer
from llm_service.protocol.messages.request import MessagesRequest
from llm_service.request import Delta, Event, Finish, Usage
from seedbed.errors import Busy, Unavailable

CITY = {"type": "object", "properties": {"city": {"enum": ["Bern", "Rome"]}}, "required": ["city"]}
TOOL = {"name": "weather", "description": "Tells the weather.", "input_schema": CITY}
AS_CHAT = {
    "type": "function",
    "function": {"name": "weather", "parameters": CITY, "description": "Tells the weather."},
}
HELLO = [{"role": "user", "content": "Say hello."}]
USE = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Bern"}}
EVENT = TypeAdapter(RawMessageStreamEvent)
ABOUT = About("msg_1", 7, "m")


def request(**fields: Any) -> MessagesRequest:
    body = {"model": "m", "max_tokens": 5, "messages": HELLO, **fields}
    return MessagesRequest.model_validate(body)


def messages(*turns: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return list(request(messages=list(turns), **fields).ask().body["messages"])


async def collected(*events: Event | Exception) -> Message:
    whole = await answer.collect(source(events), ABOUT)
    return Message.model_validate_json(json.dumps(whole), strict=True)


async def sent(*events: Event | Exception) -> list[dict[str, Any]]:
    text = b"".join([part async for part in send(source(events), answer.Stream(ABOUT))]).decode()
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
        if found[-1]["type"] != "error":
            EVENT.validate_python(found[-1])
    return found


def test_a_request_becomes_a_chat():
    ask = request(
        system=[{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}],
        temperature=0,
        stream=True,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        thinking={"type": "disabled"},
        tools=[TOOL],
        tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
        output_config={"format": {"type": "json_schema", "schema": CITY}},
    ).ask(user="key", request_id="r")
    assert (ask.kind, ask.model, ask.stream, ask.user) == ("chat", "m", True, "u")
    assert ask.body == {
        "messages": [{"role": "system", "content": "Be short."}, *HELLO],
        "max_completion_tokens": 5,
        "temperature": 0,
        "stop": ["END"],
        "tools": [AS_CHAT],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": CITY, "strict": True},
        },
    }


def test_blocks_become_messages():
    picture = {"type": "base64", "media_type": "image/png", "data": "AA=="}
    result = {"type": "tool_result", "tool_use_id": "t1"}
    turns = [
        {"role": "user", "content": [{"type": "image", "source": picture}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Wait."}, USE]},
        {
            "role": "user",
            "content": [
                {**result, "content": [{"type": "text", "text": "sunny"}]},
                {**result, "content": "no such city", "is_error": True},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    url = {"url": "data:image/png;base64,AA=="}
    function = {"name": "weather", "arguments": '{"city": "Bern"}'}
    call = {"id": "t1", "type": "function", "function": function}
    assert messages(*turns) == [
        {"role": "user", "content": [{"type": "image_url", "image_url": url}]},
        {"role": "assistant", "content": "Wait.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "t1", "content": "Error: no such city"},
        {"role": "user", "content": "And now?"},
    ]


def turn(**block: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [block]}]}


REFUSED = {
    "unsupported_parameter": [
        ("thinking", {"thinking": {"type": "enabled"}}),
        ("messages.0.content", turn(type="document")),
    ],
    "unknown_parameter": [("container", {"container": "c"})],
    "invalid_value": [
        ("max_tokens", {"max_tokens": None}),
        ("messages", {"messages": []}),
        ("temperature", {"temperature": 1.5}),
        ("stop_sequences.0", {"stop_sequences": [""]}),
        ("tools.0.type", {"tools": [{"type": "bash_20250124", "name": "bash"}]}),
        ("tools.1.function.name", {"tools": [TOOL, TOOL]}),
        ("tool_choice", {"tool_choice": {"type": "any"}}),
        ("tool_choice.function.name", {"tool_choice": {"type": "tool", "name": "x"}}),
        ("messages.0.content.source", turn(type="image", source={"type": "url"})),
        ("messages.0.tool_call_id", turn(type="tool_result", tool_use_id="t9")),
        ("system", {"system": "\0"}),
    ],
}


def test_what_cannot_be_done_is_refused_by_name():
    for code, cases in REFUSED.items():
        for param, fields in cases:
            with pytest.raises(BadParameter) as caught:
                request(**fields)
            assert (caught.value.param, caught.value.code) == (param, code)


async def test_a_whole_answer_has_anthropics_shape():
    message = await collected(
        Delta("Wait."),
        Delta(tool_calls=[{"index": 0, "id": "t1", "function": {"name": "weather"}}]),
        Delta(tool_calls=[{"index": 0, "function": {"arguments": '{"city": "Bern"}'}}]),
        Finish("tool_calls"),
        Usage(5, 2, cached_tokens=4),
    )
    text, call = message.content
    assert (text.text, call.model_dump(include=set(USE))) == ("Wait.", USE)
    assert (message.stop_reason, message.usage.input_tokens) == ("tool_use", 1)
    assert message.usage.cache_read_input_tokens == 4
    cut = await collected(
        Delta(tool_calls=[{"id": "t1", "function": {"name": "weather", "arguments": '{"ci'}}]),
        Finish("length"),
    )
    assert (cut.content, cut.stop_reason) == ([], "max_tokens")  # no call that was not finished
    with pytest.raises(Unavailable):
        await collected(Delta("Wai"))


async def test_a_stream_has_anthropics_events_in_order():
    found = await sent(
        Delta("Hi"),
        Delta(" é"),
        Delta(tool_calls=[{"index": 0, "id": "t1", "function": {"name": "weather"}}]),
        Delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
        Finish("tool_calls"),
        Usage(5, 2),
    )
    assert [(event["type"], event.get("index")) for event in found] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert found[-2]["usage"]["output_tokens"] == 2


async def test_a_stream_that_is_cut_off_or_fails_says_so():
    *_, last = await sent(Delta("Hi"), Busy("full"))
    assert (last["type"], last["error"]["type"]) == ("error", "rate_limit_error")
    *_, last = await sent(Delta("Hi"))
    assert last["error"]["type"] == "overloaded_error"
    with pytest.raises(Busy):
        await sent(Busy("full"))


@pytest.fixture(scope="module")
def client(service: str) -> Iterator[Anthropic]:
    with Anthropic(base_url=service, api_key="none", max_retries=0, timeout=60) as made:
        yield made


def ask(client: Anthropic, **fields: Any) -> Message:
    body: Any = {"model": "smollm2", "max_tokens": 24, "messages": HELLO, "extra_body": {}}
    body["extra_body"]["temperature"] = 0
    return client.messages.create(**body | fields)


def test_the_official_client_reads_a_local_models_answer_and_stream(client: Anthropic):
    message = ask(client)
    assert message.content[0].text
    assert message.stop_reason in ("end_turn", "max_tokens")
    assert 0 < message.usage.output_tokens <= 24
    with client.messages.stream(
        model="smollm2", max_tokens=24, messages=HELLO, extra_body={"temperature": 0}
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == message.content[0].text
    assert final.usage.output_tokens == message.usage.output_tokens


def test_the_official_client_runs_the_loop_of_tools(client: Anthropic):
    question = {"role": "user", "content": "What is the weather in Bern?"}
    choice: Any = {"type": "tool", "name": "weather"}
    first = ask(client, messages=[question], tools=[TOOL], tool_choice=choice)
    (call,) = first.content
    assert first.stop_reason == "tool_use"
    assert call.input["city"] in ("Bern", "Rome")
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny."}
    turns: Any = [question, {"role": "assistant", "content": first.content}]
    second = ask(client, messages=[*turns, {"role": "user", "content": [result]}], tools=[TOOL])
    assert second.stop_reason in ("end_turn", "max_tokens", "tool_use")


def test_the_official_client_gets_an_answer_that_keeps_its_schema(client: Anthropic):
    form: Any = {"format": {"type": "json_schema", "schema": CITY}}
    (block,) = ask(client, output_config=form).content
    assert json.loads(block.text)["city"] in ("Bern", "Rome")


def test_the_official_client_is_told_what_is_wrong(client: Anthropic):
    with pytest.raises(anthropic.NotFoundError, match="Unknown model"):
        ask(client, model="gpt-99")
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    with pytest.raises(anthropic.BadRequestError, match=r"thinking"):
        ask(client, thinking=thinking)


def test_errors_and_counts_have_anthropics_form(client: Anthropic):
    count = client.messages.count_tokens(model="smollm2", messages=HELLO, tools=[TOOL])
    assert count.input_tokens > 10
    headers = {"host": "elsewhere.example"}
    http, url = client._client, f"{str(client.base_url).rstrip('/')}/v1/messages"
    for response, type_ in (
        (http.post(url, json={"max_tokens": 5, "messages": []}), "invalid_request_error"),
        (http.post(url, content="{", headers={"content-type": "application/json"}), "invalid_"),
        (http.post(url, json={}, headers=headers), "authentication_error"),
        (http.post(f"{url}/nothing", json={}), "not_found_error"),
    ):
        body = response.json()
        assert body["type"] == "error" and body["error"]["type"].startswith(type_)
        assert body["error"]["message"] and body["request_id"] == response.headers["x-request-id"]
