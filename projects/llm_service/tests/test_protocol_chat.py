"""The chat protocol: bodies in, chat.completion and its chunks out, read by OpenAI's own types."""

import json
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from service_fakes import source

from llm_service.models.local.unsupported import of_chat
from llm_service.protocol import chat, chat_answer
from llm_service.protocol.body import BadParameter, refuse_unsupported
from llm_service.protocol.events import About, send
from llm_service.request import Ask, Delta, Event, Finish, Usage
from seedbed.errors import Unavailable

ABOUT = About("chatcmpl-1", 7, "m")
HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def request(**fields: Any) -> chat.ChatRequest:
    return chat.ChatRequest.model_validate({"model": "m", "messages": HELLO, **fields})


def refusal(**fields: Any) -> BadParameter:
    with pytest.raises(BadParameter) as caught:
        request(**fields)
    assert caught.value.status == 400
    assert len(str(caught.value)) < 300
    return caught.value


async def collected(*events: Event | Exception) -> ChatCompletion:
    body = await chat_answer.collect(source(events), ABOUT)
    assert json.loads(json.dumps(body)) == body
    return ChatCompletion.model_validate(body, strict=True)


async def sent(*events: Event | Exception, usage: bool = False) -> list[str]:
    options = {"stream": True, "stream_options": {"include_usage": usage}}
    parts = send(source(events), chat_answer.Stream(ABOUT, request(**options)))
    text = b"".join([part async for part in parts]).decode()
    assert text.endswith("\n\n")
    found = text.removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: ") and "\n" not in event for event in found)
    return [event.removeprefix("data: ") for event in found]


async def chunks(*events: Event | Exception, usage: bool = False) -> list[ChatCompletionChunk]:
    *found, last = await sent(*events, usage=usage)
    assert last == "[DONE]"
    return [ChatCompletionChunk.model_validate_json(event, strict=True) for event in found]


def test_an_ask_holds_what_the_client_sent_and_nothing_that_is_null():
    schema = {"type": "object", "properties": {"a": {"default": None}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    fields = {"temperature": 0, "response_format": form, "reasoning_effort": "low"}
    body = request(seed=None, stream=True, stream_options={"include_usage": True}, **fields)
    ask = body.ask(user="key", request_id="r")
    sent = {"messages": HELLO, **fields}
    assert ask == Ask("chat", "m", sent, stream=True, user="key", request_id="r")
    assert body.streams and body.include_usage
    assert request(user="u").ask(user="key").user == "u"
    assert not request().include_usage


def saying(**message: Any) -> dict[str, Any]:
    return {"messages": [*HELLO, message]}


def tool(**function: Any) -> dict[str, Any]:
    return {"tools": [TOOL, {"type": "function", "function": function}]}


def choosing(name: Any) -> dict[str, Any]:
    return {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": name}}}


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("messages", {"messages": []}),
        ("messages.1.role", saying(role="robot", content="x")),
        ("messages.1.content", saying(role="assistant")),
        ("messages.1.content.0.text", saying(role="user", content=[{"type": "text"}])),
        ("messages.1.tool_call_id", saying(role="tool", content="x", tool_call_id="no")),
        ("messages.1.tool_calls", saying(role="user", content="x", tool_calls=[CALL])),
        ("temperature", {"temperature": 2.1}),
        ("n", {"n": True}),
        ("max_tokens", {"max_tokens": 1, "max_completion_tokens": 2}),
        ("min_tokens", {"max_tokens": 2, "min_tokens": 3}),
        ("stop", {"stop": ["a"] * 5}),
        ("top_logprobs", {"top_logprobs": 1}),
        ("stream_options", {"stream_options": {"include_usage": True}}),
        ("response_format.json_schema", {"response_format": {"type": "json_schema"}}),
        ("tools.1.function.name", tool(name="weather")),
        ("tools.1.function.name", tool(name="a b")),
        ("tools.1.function.parameters.type", tool(name="a", parameters={"type": "string"})),
        ("tool_choice", {"tool_choice": "required"}),
        ("tool_choice.function.name", choosing("x")),
        ("tool_choice.function.name", choosing({})),
        ("metadata.a", {"metadata": {"a": 1}}),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(param, fields):
    error = refusal(**fields)
    assert (error.param, error.code) == (param, "invalid_value")
    assert str(error).startswith(f"{param}: ")


def test_unknown_fields_are_refused():
    assert refusal(temprature=1).code == "unknown_parameter"
    assert refusal(messages=[{**HELLO[0], "color": 1}]).code == "unknown_parameter"
    error = refusal(**{"X" * 5000: 1})
    assert (error.param, error.code) == ("X" * 100, "unknown_parameter")


def after_a_call(arguments: str) -> list[dict[str, Any]]:
    call = {**CALL, "function": {"name": "weather", "arguments": arguments}}
    return [*HELLO, {"role": "assistant", "refusal": None, "tool_calls": [call]}]


def test_a_whole_conversation_with_tools_is_taken_and_completed():
    ask = request(
        messages=[
            {"role": "developer", "content": [{"type": "text", "text": "Be short."}]},
            *after_a_call(""),
            {"role": "tool", "content": "sunny", "tool_call_id": "call_1"},
        ],
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "weather"}},
    ).ask()
    assert ask.body["messages"][0]["role"] == "system"
    assert ask.body["messages"][2] == {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert of_chat(ask.body) == []


@pytest.mark.parametrize("arguments", ["alice@example.com", "[1]", '{"a":', "[" * 5000])
def test_arguments_that_are_not_an_object_are_refused_without_repeating_them(arguments):
    error = refusal(messages=after_a_call(arguments))
    assert error.param == "messages.1.tool_calls.0.function.arguments"
    assert arguments not in str(error)


def test_what_a_local_model_cannot_do_is_carried_and_named():
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    fields: dict[str, Any] = {"top_logprobs": 2, "logit_bias": {"5": 1}, "store": True}
    fields |= {"service_tier": "flex", "functions": [{"name": "f"}], "min_p": 0.1}
    messages = [{"role": "user", "content": [{"type": "text", "text": "x"}, image]}]
    tools = [{"type": "custom", "custom": {"name": "c"}}]
    body = request(messages=messages, tools=tools, logprobs=True, **fields).ask().body
    assert set(of_chat(body)) == {
        *fields,
        *("messages.0.content.1.type (image_url)", "tools.0.type (custom)"),
    }
    with pytest.raises(BadParameter, match="logit_bias") as caught:
        refuse_unsupported(["logit_bias"])
    assert caught.value.code == "unsupported_parameter"


def test_asking_for_what_is_the_case_anyway_is_supported():
    body = request(
        store=False, service_tier="auto", logit_bias={}, top_logprobs=0, logprobs=True, tools=[]
    ).ask()
    assert of_chat(body.body) == []
    assert "tools" not in body.body


def test_every_field_of_the_official_client_is_known():
    known = {*chat.ChatRequest.model_fields, *chat.ChatRequest.passed_on}
    assert set(CompletionCreateParamsBase.__annotations__) | {"stream"} <= known


async def test_a_whole_answer_has_openais_shape():
    logprob = {"token": "Hi", "logprob": -0.1}
    answer = await collected(
        Delta("Hi", logprobs=[logprob]), Delta(" é"), Finish("length"), Usage(5, 2, cached_tokens=4)
    )
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Hi é", "length")
    assert choice.logprobs.content[0].top_logprobs == []
    assert answer.usage.model_dump(exclude_none=True) == {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 4},
    }


async def test_choices_are_kept_apart_and_calls_put_together():
    begun = {"index": 0, "id": "call_1", "type": "function"}
    answer = await collected(
        Delta("b", index=1),
        Delta(tool_calls=[{**begun, "function": {"name": "weather", "arguments": ""}}]),
        Delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}]),
        Delta(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}]),
        Delta(tool_calls=[{**CALL, "id": "call_2"}, {**CALL, "id": "call_3"}]),
        Delta(extra={"reasoning_content": "hm", "role": "assistant"}),
        Delta(extra={"reasoning_content": "m"}),
        Finish("tool_calls"),
        Finish("stop", index=1),
        Usage(1, 2),
    )
    first, second = answer.choices
    assert second.message.content == "b"
    assert first.message.content is None
    assert [c.function.arguments for c in first.message.tool_calls] == ['{"a":1}', "{}", "{}"]
    assert [c.id for c in first.message.tool_calls] == ["call_1", "call_2", "call_3"]
    assert first.message.model_extra["reasoning_content"] == "hmm"


async def test_an_answer_without_an_end_is_not_passed_off_as_whole():
    for unfinished in (collected(Delta("Hi"), Usage(1, 1)), collected(), sent()):
        with pytest.raises(Unavailable):
            await unfinished
    *_, last = await sent(Delta("Hi"))
    assert json.loads(last)["error"]["type"] == "unavailable"


async def test_a_stream_has_openais_chunks():
    found = await chunks(Delta("Hi\n"), Delta(" é"), Delta(""), Finish("stop"), Usage(3, 3))
    assert [c.choices[0].delta.role for c in found] == ["assistant", None, None, None]
    assert [c.choices[0].delta.content for c in found] == ["", "Hi\n", " é", None]
    assert [c.choices[0].finish_reason for c in found] == [None, None, None, "stop"]
    assert {(c.id, c.created, c.model) for c in found} == {("chatcmpl-1", 7, "m")}
    assert all("usage" not in c.model_fields_set for c in found)


async def test_calls_logprobs_extras_and_at_last_usage_are_streamed():
    part = {"index": 0, **CALL}
    logprob = {"token": "x", "logprob": -1.0}
    *others, last = await chunks(
        Delta(tool_calls=[part]),
        Delta("x", logprobs=[logprob]),
        Delta(extra={"reasoning_content": "hm"}),
        Finish("tool_calls"),
        Usage(3, 1),
        usage=True,
    )
    assert (last.choices, last.usage.total_tokens) == ([], 4)
    assert all("usage" in c.model_fields_set and c.usage is None for c in others)
    _, call, text, extra, end = others
    assert call.choices[0].delta.tool_calls[0].function.name == "weather"
    assert text.choices[0].logprobs.content[0].token == "x"
    assert extra.choices[0].delta.model_extra == {"reasoning_content": "hm"}
    assert end.choices[0].finish_reason == "tool_calls"


async def test_an_error_in_a_stream_is_its_last_event():
    *_, last = await sent(Delta("Hi"), Unavailable("The upstream is gone."))
    error = json.loads(last)["error"]
    assert (error["message"], error["type"]) == ("The upstream is gone.", "unavailable")
    *_, last = await sent(Delta("Hi"), RuntimeError("secret detail"))
    assert json.loads(last)["error"]["type"] == "internal_error" and "secret" not in last
