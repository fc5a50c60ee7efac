"""What the server refuses as Anthropic does, seen through the real client."""

import base64
import re

import anthropic
import httpx
import pytest

from seedbed.testing.vendor.anthropic_rules import refusals
from seedbed.testing.vendor.script import FAULTS
from seedbed.testing.vendor.server import launch_vendor

USER = {"role": "user", "content": "What is the weather in Paris?"}
REPLIES = {"role": "assistant", "content": "It rains."}
TOOL = {"name": "lookup", "input_schema": {"type": "object"}}
CALL = {"type": "tool_use", "id": "call_1", "name": "lookup", "input": {}}
ASKS = {"role": "assistant", "content": [CALL, {**CALL, "id": "call_2"}]}
SYSTEM = {"role": "system", "content": "Be brief."}
TEXT = {"type": "text", "text": "Here."}


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def result(id):
    return {"type": "tool_result", "tool_use_id": id, "content": "rain"}


def image(kind, data):
    source = {"type": "base64", "media_type": kind, "data": data}
    return {"messages": [user({"type": "image", "source": source})]}


def tool(**fields):
    return {"tools": [{**TOOL, **fields}]}


GIF = base64.b64encode(b"GIF89a").decode()
NEWEST = {"model": "claude-opus-4-8"}
THINKS = {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 3000}
LIMITED = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}

# rule, what is changed in a valid request
CASES = [
    ("404", {"model": "claude-1"}),
    ("404", {"model": "gpt-4o-mini"}),
    ("additionalProperties", {"response_format": {}}),
    ("additionalProperties", {"messages": [{**USER, "id": "1"}]}),
    ("required", {"max_tokens": ...}),
    ("required", tool(input_schema=...)),
    ("type", {"temperature": "0"}),
    ("type", {"messages": [{**USER, "content": None}]}),
    ("enum", {"messages": [USER, {"role": "tool", "content": "rain"}]}),
    ("enum", image("image/tiff", GIF)),
    ("pattern", tool(name="mail.send")),
    ("pattern", tool(name="t" * 129)),
    ("minItems", {"messages": []}),
    ("minimum", {"max_tokens": 0}),
    ("maximum", {"temperature": 1.5}),
    ("system_role", {"messages": [SYSTEM, USER]}),
    ("system_place", {**NEWEST, "messages": [SYSTEM, USER]}),
    ("system_place", {**NEWEST, "messages": [USER, SYSTEM, USER]}),
    ("first_role", {"messages": [REPLIES, USER]}),
    ("prefill", {"model": "claude-sonnet-4-6", "messages": [USER, REPLIES]}),
    ("empty_message", {"messages": [{**USER, "content": ""}]}),
    ("empty_message", {"messages": [USER, {**REPLIES, "content": []}, USER]}),
    ("empty_text", {"messages": [user({"type": "text", "text": ""})]}),
    ("empty_text", {"system": [{"type": "text", "text": ""}]}),
    ("blank_text", {"messages": [{**USER, "content": " \n"}]}),
    ("final_whitespace", {"messages": [USER, {**REPLIES, "content": "It rains "}]}),
    ("call_without_result", {"messages": [USER, ASKS]}),
    ("call_without_result", {"messages": [USER, ASKS, USER]}),
    ("call_without_result", {"messages": [USER, ASKS, user(result("call_1"))]}),
    (
        "call_without_result",
        {"messages": [USER, ASKS, user(TEXT, result("call_1"), result("call_2"))]},
    ),
    ("result_without_call", {"messages": [user(result("call_1"))]}),
    (
        "result_without_call",
        {"messages": [USER, ASKS, user(*map(result, ["call_1", "call_2", "call_3"]))]},
    ),
    ("two_results", {"messages": [USER, ASKS, user(*map(result, ["call_1", "call_2"] * 2))]}),
    (
        "duplicate_ids",
        {"messages": [USER, {**ASKS, "content": [CALL, CALL]}, user(result("call_1"))]},
    ),
    ("image_base64", image("image/png", "%%")),
    ("image_format", image("image/png", GIF)),
    ("duplicate_tools", {"tools": [TOOL, TOOL]}),
    ("without_tools", {"tool_choice": {"type": "auto"}}),
    ("choice_of_no_tool", {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}),
    ("tool_schema", tool(input_schema={})),
    ("tool_schema", tool(input_schema={"type": "object", "anyOf": []})),
    ("tool_schema", tool(input_schema={"type": "object", "properties": []})),
    ("tool_schema", tool(input_schema=LIMITED, strict=True)),
    ("format_schema", {"output_config": {"format": {"type": "json_schema", "schema": LIMITED}}}),
    ("deprecated", {**NEWEST, "temperature": 0}),
    ("deprecated", {**NEWEST, "top_k": 5}),
    ("two_samplers", {"temperature": 0, "top_p": 1}),
    ("thinking_enabled", {**NEWEST, **THINKS}),
    ("thinking_temperature", {**THINKS, "temperature": 0}),
    ("thinking_choice", {**THINKS, "tools": [TOOL], "tool_choice": {"type": "any"}}),
    ("thinking_budget", {**THINKS, "max_tokens": 1000}),
    ("output_limit", {"max_tokens": 64_001}),
    ("prompt_length", {"messages": [{**USER, "content": "word " * 200_000}]}),
    (
        "context_length",
        {"messages": [{**USER, "content": "word " * 120_000}], "max_tokens": 60_000},
    ),
]
ACCEPTED = [
    {"messages": [USER, ASKS, user(result("call_2"), result("call_1"), TEXT)], "tools": [TOOL]},
    {"messages": [USER, ASKS, user(result("call_1")), user(result("call_2"))], "tools": [TOOL]},
    {"messages": [USER, REPLIES]},
    {**NEWEST, "messages": [USER, SYSTEM]},
    {**NEWEST, "thinking": {"type": "adaptive"}, "temperature": 1},
    image("image/gif", GIF),
    {"system": [{"type": "text", "text": "Brief.", "cache_control": {"type": "ephemeral"}}]},
    {**THINKS, "tools": [TOOL], "tool_choice": {"type": "auto"}},
]


@pytest.fixture(scope="module")
def vendor():
    with launch_vendor(lambda _: "Hello.") as vendor:
        yield vendor


@pytest.fixture(scope="module")
def client(vendor):
    with anthropic.Anthropic(base_url=vendor.url, api_key="test-key", max_retries=0) as client:
        yield client


def request(changes):
    body = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [USER], **changes}
    if "tools" in body:
        kept = [{k: v for k, v in item.items() if v is not ...} for item in body["tools"]]
        body["tools"] = kept
    return {name: value for name, value in body.items() if value is not ...}


def wording(row):
    return re.sub(r"\\{\w+\\}", ".*", re.escape(row["message"]))


@pytest.mark.parametrize(("rule", "changes"), CASES)
def test_request_is_refused_as_anthropic_does(vendor, client, rule, changes):
    row = refusals.rows[rule]
    with pytest.raises(anthropic.APIStatusError) as refusal:
        client.post("/v1/messages", body=request(changes), cast_to=object)
    assert refusal.value.status_code == int(row["status"])
    error = refusal.value.body["error"]
    assert (refusal.value.body["type"], error["type"]) == ("error", row["type"])
    assert re.fullmatch(wording(row), error["message"])
    assert vendor.calls[-1].problem == error["message"]


@pytest.mark.parametrize("changes", ACCEPTED)
def test_request_that_anthropic_takes_is_answered(client, changes):
    answer = client.post("/v1/messages", body=request(changes), cast_to=object)
    assert answer["content"] == [{"type": "text", "text": "Hello."}]


def test_each_rule_has_a_source_and_a_refused_request():
    tried = {rule for rule, _ in CASES} | {"401", "no_key", "no_version", "not_json"}
    assert tried | set(FAULTS) >= set(refusals.rows)
    assert all(row["source"].startswith("https://") for row in refusals.rows.values())


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        (tool(name="mail.send"), "tools.0.custom.name: "),
        (
            {"messages": [USER, {**ASKS, "content": [{**CALL, "index": 1}]}]},
            "messages.1.content.0.",
        ),
        ({"messages": [USER, {**ASKS, "content": [{**CALL, "index": 1}]}]}, "0.tool_use.index: "),
    ],
)
def test_place_of_a_violation_names_the_kind_of_block(client, changes, at):
    with pytest.raises(anthropic.BadRequestError, match=re.escape(at)):
        client.post("/v1/messages", body=request(changes), cast_to=object)


def test_key_version_and_json_are_required(vendor):
    def send(content="{", **headers):
        response = httpx.post(f"{vendor.url}/v1/messages", content=content, headers=headers)
        return response.status_code, response.json()["error"]["message"]

    assert send() == (401, "x-api-key header is required")
    assert send(**{"x-api-key": "other"}) == (401, "invalid x-api-key")
    key = {"x-api-key": "test-key"}
    assert send(**key) == (400, "anthropic-version: header is required")
    assert send(**key, **{"anthropic-version": "2023-06-01"})[0] == 400
