"""The responses protocol, read by OpenAI's own types."""

import json
from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter
from service_fakes import source

from llm_service.models.local.unsupported import of_chat
from llm_service.protocol.body import BadParameter
from llm_service.protocol.events import About, send
from llm_service.protocol.responses import answer
from llm_service.protocol.responses.request import ResponsesRequest
from llm_service.request import Delta, Event, Finish, Usage
from seedbed.errors import Busy, Unavailable

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
AS_CHAT = {"type": "function", "function": {"name": "weather", "parameters": TOOL["parameters"]}}
CALL = {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"}
CALLED = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
ABOUT = About("resp_1", 7, "m")
EVENT = TypeAdapter(ResponseStreamEvent)


def request(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest.model_validate({"model": "m", "input": "Hello", **fields})


def body(**fields: Any) -> dict[str, Any]:
    return dict(request(**fields).ask().body)


async def collected(*events: Event | Exception, **fields: Any) -> Response:
    whole = await answer.collect(source(events), ABOUT, request(**fields))
    return Response.model_validate_json(json.dumps(whole), strict=True)


async def sent(*events: Event | Exception, **fields: Any) -> list[Any]:
    parts = send(source(events), answer.Stream(ABOUT, request(**fields)))
    text = b"".join([part async for part in parts]).decode()
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        found.append(EVENT.validate_json(data.removeprefix("data: "), strict=True))
        assert name == f"event: {found[-1].type}"
    assert [event.sequence_number for event in found] == list(range(len(found)))
    return found


def test_a_text_becomes_a_chat():
    ask = request(
        instructions="Be short.",
        max_output_tokens=5,
        temperature=0,
        stream=True,
        user="u",
        reasoning={"effort": "low"},
        text={"format": {"type": "json_schema", "name": "n", "schema": {"enum": [None]}}},
        store=True,
    ).ask(user="key", request_id="r")
    assert (ask.kind, ask.model, ask.stream, ask.user, ask.request_id) == (
        *("chat", "m", True, "u", "r"),
    )
    assert ask.body == {
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Hello"},
        ],
        "max_completion_tokens": 5,
        "temperature": 0,
        "user": "u",
        "reasoning_effort": "low",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"enum": [None]}},
        },
    }
    assert of_chat(ask.body) == ["reasoning_effort"]


def test_items_become_messages():
    items = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:x"}]},
        {"type": "reasoning", "id": "rs", "summary": []},
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Wait.", "annotations": []}],
        },
        CALL,
        {**CALL, "call_id": "c2", "id": "fc_2", "status": "completed"},
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "rain"}],
        },
    ]
    assert body(input=items)["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]},
        {"role": "assistant", "content": "Wait.", "tool_calls": [CALLED, {**CALLED, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": "rain"},
    ]


def test_the_forms_of_tool_choice():
    chosen = {"type": "function", "name": "weather"}
    named = body(tools=[TOOL], tool_choice=chosen, parallel_tool_calls=False)
    assert named["parallel_tool_calls"] is False
    assert named["tools"] == [AS_CHAT]
    assert named["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


UNSUPPORTED = [
    ("previous_response_id", {"previous_response_id": "resp_0"}),
    ("conversation", {"conversation": {"id": "c"}}),
    ("background", {"background": True}),
    ("include", {"include": ["reasoning.encrypted_content"]}),
    ("tools.0.type", {"tools": [{"type": "web_search"}]}),
    ("tool_choice.type", {"tool_choice": {"type": "web_search"}}),
    ("tool_choice.type", {"tool_choice": {"type": "allowed_tools"}}),
    ("input.0.type", {"input": [{"type": "item_reference"}]}),
    ("input.0.type", {"input": [{"type": ["x"]}]}),
    ("input.0.x", {"input": [{"role": "user", "content": "a", "x": 1}]}),
]
INVALID = [
    ("input", {"input": []}),
    ("input", {"input": "\0"}),
    ("input.0.role", {"input": [{"role": "robot", "content": ""}]}),
    ("input.0.role", {"input": [{"role": ["user"], "content": ""}]}),
    ("input.0.content", {"input": [{"role": "user"}]}),
    ("input.0.content.0", {"input": [{"role": "user", "content": [5]}]}),
    (
        "input.0.call_id",
        {"input": [{"type": "function_call_output", "call_id": "no", "output": ""}]},
    ),
    ("tools.1.name", {"tools": [TOOL, TOOL]}),
    ("tool_choice", {"tool_choice": "required"}),
    ("tool_choice", {"tools": [TOOL], "tool_choice": {"type": "function", "name": "x"}}),
    ("text.format.schema", {"text": {"format": {"type": "json_schema"}}}),
]


def test_what_cannot_be_done_is_refused_by_name():
    for code, cases in (("unsupported_parameter", UNSUPPORTED), ("invalid_value", INVALID)):
        for param, fields in cases:
            with pytest.raises(BadParameter) as caught:
                request(**fields)
            assert (caught.value.param, caught.value.code) == (param, code)


def test_every_field_of_the_official_client_is_known():
    from openai.types.responses.response_create_params import ResponseCreateParamsBase

    known = {*ResponsesRequest.model_fields, *ResponsesRequest.passed_on}
    assert set(ResponseCreateParamsBase.__annotations__) | {"stream"} <= known


async def test_a_whole_answer_has_openais_shape():
    answer = await collected(
        Delta("Hi"),
        Delta(" é", logprobs=[{"token": "é", "logprob": -1.0}]),
        Finish("stop"),
        Usage(5, 2, cached_tokens=4),
        instructions="x",
        metadata={"a": "b"},
        tools=[TOOL],
        text={"format": {"type": "json_object"}},
    )
    assert (answer.output_text, answer.status) == ("Hi é", "completed")
    assert answer.usage.input_tokens_details.cached_tokens == 4
    assert (answer.usage.output_tokens, answer.usage.total_tokens) == (2, 7)
    assert (answer.instructions, answer.metadata) == ("x", {"a": "b"})
    assert answer.tools[0].name == "weather"
    assert answer.text.format.type == "json_object"
    assert answer.output[0].content[0].logprobs[0].bytes == [0xC3, 0xA9]


async def test_calls_are_items_and_an_answer_cut_off_is_incomplete():
    answer = await collected(
        Delta("Wait."),
        Delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "weather"}}]),
        Delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
        Delta(tool_calls=[{"index": 1, **CALLED, "id": "c2"}]),
        Finish("tool_calls"),
    )
    message, first, second = answer.output
    assert message.content[0].text == "Wait."
    assert [(c.call_id, c.arguments) for c in (first, second)] == [("c1", "{}"), ("c2", "{}")]
    assert answer.status == first.status == "completed"
    cut = await collected(Delta("Wai"), Finish("length"), Usage(1, 1))
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert cut.output[0].status == "incomplete"
    assert (await collected(Finish("stop"))).output_text == ""
    with pytest.raises(Unavailable):
        await collected(Delta("Wai"))


async def test_a_stream_has_openais_events_in_order():
    found = await sent(
        Delta("Hi"),
        Delta(" é"),
        Delta(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "weather"}}]),
        Delta(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}]),
        Finish("tool_calls"),
        Usage(5, 2),
    )
    assert [event.type.removeprefix("response.") for event in found] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_item.added",
        "function_call_arguments.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert found[0].response.output == []
    assert found[8].text == "Hi é"
    assert found[-1].response.usage.total_tokens == 7
    assert [item.id for item in found[-1].response.output] == [found[10].item.id, found[12].item.id]


async def test_a_stream_that_is_cut_off_or_fails_says_so():
    *_, last = await sent(Delta("Hi"), Finish("length"), Usage(1, 1))
    assert last.type == "response.incomplete"
    *_, last = await sent(Delta("Hi"), Busy("full"))
    assert last.type == "response.failed"
    assert last.response.error.code == "rate_limit_exceeded"
    assert last.response.output[0].content[0].text == "Hi"
    *_, last = await sent(Delta("Hi"))
    assert (last.type, last.response.error.code) == ("response.failed", "server_error")
    with pytest.raises(Busy):
        await sent(Busy("full"))
