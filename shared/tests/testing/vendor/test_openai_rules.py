"""What the server refuses as OpenAI does, seen through the real client."""

import base64
import re

import httpx
import openai
import pytest

from seedbed.testing.vendor.openai_rules import refusals
from seedbed.testing.vendor.script import FAULTS
from seedbed.testing.vendor.server import launch_vendor

USER = {"role": "user", "content": "What is the weather in Paris?"}
TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}
OTHER = {**CALL, "id": "call_2"}
ASKS = {"role": "assistant", "content": None, "tool_calls": [CALL, OTHER]}


def result(id):
    return {"role": "tool", "tool_call_id": id, "content": "rain"}


def user(*parts):
    return {"messages": [{"role": "user", "content": list(parts)}]}


def image(url):
    return user({"type": "image_url", "image_url": {"url": url}})


def tool(**function):
    return {"type": "function", "function": {"name": "lookup", **function}}


def json_schema(schema, name="answer"):
    form = {"name": name, "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


GIF = base64.b64encode(b"GIF89a").decode()
REASONS = {"model": "gpt-5-mini"}

# rule, what is changed in a valid request, the error's `param`
CASES = [
    ("404", {"model": "gpt-9"}, None),
    ("unknown_argument", {"top_k": 3}, None),
    ("unknown_argument", {"reasoning_effort": "low"}, None),
    ("additionalProperties", {"messages": [{**USER, "id": "1"}]}, "messages[0].id"),
    ("required", {"model": ...}, "model"),
    ("required", {"messages": [{"role": "user"}]}, "messages[0].content"),
    ("null_content", {"messages": [{**USER, "content": None}]}, "messages.[0].content"),
    ("null_content", {"messages": [{"role": "assistant"}]}, "messages.[0].content"),
    ("type", {"temperature": "0"}, "temperature"),
    ("type", {"messages": "Hi"}, "messages"),
    ("type", {"max_tokens": 1.5}, "max_tokens"),
    ("enum", {"messages": [{**USER, "role": "human"}]}, "messages[0].role"),
    ("enum", user({"type": "image", "source": {}}), "messages[0].content[0].type"),
    ("enum", {"tools": [TOOL], "tool_choice": "lookup"}, "tool_choice"),
    ("minimum", {"temperature": -1}, "temperature"),
    ("maximum", {"temperature": 3}, "temperature"),
    ("minItems", {"messages": []}, "messages"),
    ("minItems", user(), "messages[0].content"),
    ("minItems", {"tools": []}, "tools"),
    ("maxItems", {"tools": [tool(name=f"t{n}") for n in range(129)]}, "tools"),
    ("maxLength", {"tools": [tool(name="t" * 65)]}, "tools[0].function.name"),
    (
        "maxLength",
        {"messages": [USER, {**ASKS, "tool_calls": [{**CALL, "id": "c" * 41}]}]},
        "messages[1].tool_calls[0].id",
    ),
    ("maxProperties", {"metadata": {str(n): "" for n in range(17)}}, "metadata"),
    ("pattern", {"tools": [tool(name="mail.send")]}, "tools[0].function.name"),
    ("pattern", json_schema({}, "a b"), "response_format.json_schema.name"),
    ("result_without_call", {"messages": [USER, result("call_1")]}, "messages.[1].role"),
    (
        "result_of_other_call",
        {"messages": [USER, ASKS, result("call_9")]},
        "messages.[2].tool_call_id",
    ),
    ("call_without_result", {"messages": [USER, ASKS]}, "messages.[2].role"),
    ("call_without_result", {"messages": [USER, ASKS, result("call_1")]}, "messages.[3].role"),
    ("call_without_result", {"messages": [USER, ASKS, USER]}, "messages.[2].role"),
    ("result_without_call", {"messages": [result("call_1"), ASKS]}, "messages.[0].role"),
    ("image_url", image("photo.png"), None),
    ("image_url", image("file:///photo.png"), None),
    ("image_download", image("http://127.0.0.1:8003/photo.png"), None),
    ("image_base64", image("data:image/png;base64,%%"), None),
    ("image_format", image("data:image/tiff;base64,SUkqAA=="), None),
    ("without_tools", {"tool_choice": "auto"}, "tool_choice"),
    ("without_tools", {"parallel_tool_calls": False}, "parallel_tool_calls"),
    ("duplicate_tools", {"tools": [TOOL, TOOL]}, "tools"),
    (
        "choice_of_no_tool",
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
        "tool_choice",
    ),
    ("tool_schema", {"tools": [tool(parameters={})]}, "tools[0].function.parameters"),
    (
        "tool_schema",
        {"tools": [tool(parameters={"type": "object", "anyOf": []})]},
        "tools[0].function.parameters",
    ),
    (
        "tool_schema",
        {"tools": [tool(parameters={"type": "object", "properties": {"a": {"type": "array"}}})]},
        "tools[0].function.parameters",
    ),
    (
        "tool_schema",
        {"tools": [tool(strict=True, parameters={"type": "object", "properties": {}})]},
        "tools[0].function.parameters",
    ),
    ("format_schema", json_schema({"type": "object"}), "response_format"),
    ("format_schema", json_schema({"type": "thing"}), "response_format"),
    ("word_json", {"response_format": {"type": "json_object"}}, "messages"),
    ("max_tokens", {**REASONS, "max_tokens": 5}, "max_tokens"),
    ("temperature", {**REASONS, "temperature": 0}, "temperature"),
    ("unsupported", {**REASONS, "top_p": 0.5}, "top_p"),
    ("unsupported", {**REASONS, "presence_penalty": 1}, "presence_penalty"),
    ("unsupported", {**REASONS, "logprobs": True}, "logprobs"),
    ("unsupported", {**REASONS, "functions": [{}]}, "functions"),
    ("unsupported", {"model": "o4-mini", "stop": "."}, "stop"),
    (
        "unsupported",
        {"model": "o4-mini", "tools": [TOOL], "parallel_tool_calls": False},
        "parallel_tool_calls",
    ),
    ("stream_options", {"stream_options": {"include_usage": True}}, "stream_options"),
    ("top_logprobs", {"top_logprobs": 2}, "top_logprobs"),
    ("two_limits", {"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
    ("output_limit", {"max_tokens": 20_480}, "max_tokens"),
    ("context_length", {"messages": [{**USER, "content": "word " * 150_000}]}, "messages"),
]
ACCEPTED = [
    {"messages": [USER, ASKS, result("call_2"), result("call_1")], "tools": [TOOL]},
    {"messages": [{**USER, "content": ""}]},
    image(f"data:image/gif;base64,{GIF}"),
    image("https://example.org/photo.png"),
    {"response_format": {"type": "json_object"}, "messages": [{**USER, "content": "as JSON"}]},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "lookup"}}},
    {**REASONS, "temperature": 1, "top_p": 1, "max_completion_tokens": 5},
    {"model": "gpt-5.5", "temperature": 0, "reasoning_effort": "none"},
    {"temperature": None, "stop": ["a", "b"], "logprobs": True, "top_logprobs": 2, "n": 2},
]


@pytest.fixture(scope="module")
def vendor():
    with launch_vendor(lambda _: "Hello.") as vendor:
        yield vendor


@pytest.fixture(scope="module")
def client(vendor):
    with openai.OpenAI(base_url=f"{vendor.url}/v1", api_key="test-key", max_retries=0) as client:
        yield client


def request(changes):
    body = {"model": "gpt-4o-mini", "messages": [USER], **changes}
    return {name: value for name, value in body.items() if value is not ...}


def wording(row):
    return re.sub(r"\\{\w+\\}", ".*", re.escape(row["message"]))


@pytest.mark.parametrize(("rule", "changes", "param"), CASES)
def test_request_is_refused_as_openai_does(vendor, client, rule, changes, param):
    row = refusals.rows[rule]
    with pytest.raises(openai.APIStatusError) as refusal:
        client.post("/chat/completions", body=request(changes), cast_to=object)
    assert refusal.value.status_code == int(row["status"])
    assert set(refusal.value.body) == {"message", "type", "param", "code"}
    assert re.fullmatch(wording(row), refusal.value.body["message"])
    assert refusal.value.type == row["type"]
    assert refusal.value.param == param
    if "{" not in row["code"]:
        assert refusal.value.code == (row["code"] or None)
    assert vendor.calls[-1].problem == refusal.value.body["message"]


@pytest.mark.parametrize("changes", ACCEPTED)
def test_request_that_openai_takes_is_answered(client, changes):
    answer = client.post("/chat/completions", body=request(changes), cast_to=object)
    assert answer["choices"][0]["message"]["content"] == "Hello."


def test_each_rule_has_a_source_and_a_refused_request():
    tried = {rule for rule, _, _ in CASES} | {"401", "no_key", "not_json"}
    assert tried | set(FAULTS) >= set(refusals.rows)
    assert all(row["source"].startswith("https://") for row in refusals.rows.values())


def test_wrong_key_is_refused(vendor):
    client = openai.OpenAI(base_url=f"{vendor.url}/v1", api_key="sk-other-key", max_retries=0)
    with pytest.raises(
        openai.AuthenticationError, match="Incorrect API key provided: sk-o"
    ) as error:
        client.chat.completions.create(model="gpt-4o-mini", messages=[USER])
    assert error.value.code == "invalid_api_key"
    assert "sk-other-key" not in str(error.value)


def test_request_without_key_or_json_is_refused(vendor):
    url = f"{vendor.url}/v1/chat/completions"
    assert httpx.post(url, json={}).status_code == 401
    response = httpx.post(url, content="{", headers={"authorization": "Bearer test-key"})
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith("We could not parse the JSON body")


def test_path_that_does_not_exist_is_refused(vendor, client):
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        client.responses.create(model="gpt-4o-mini", input="Hi")
    assert "/v1/responses" in vendor.problems[-1]
