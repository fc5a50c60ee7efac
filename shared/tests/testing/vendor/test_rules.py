"""What the server refuses, through the clients of the vendors."""

import anthropic
import openai
import pytest

from seedbed.testing.vendor.server import launch_vendor

USER = {"role": "user", "content": "What is the weather in Paris?"}
OBJECT = {"type": "object"}


def openai_tool(name="lookup", **fields):
    return {"type": "function", "function": {"name": name, "parameters": OBJECT, **fields}}


def openai_turns(*results):
    call = {"type": "function", "function": {"name": "lookup", "arguments": "{}"}}
    calls = [{"id": "c1", **call}, {"id": "c2", **call}]
    answers = [{"role": "tool", "tool_call_id": id, "content": "rain"} for id in results]
    return {
        "messages": [USER, {"role": "assistant", "content": None, "tool_calls": calls}, *answers]
    }


def anthropic_turns(*results):
    calls = [{"type": "tool_use", "id": id, "name": "lookup", "input": {}} for id in ("c1", "c2")]
    answers = [{"type": "tool_result", "tool_use_id": id, "content": "rain"} for id in results]
    user = [{"role": "user", "content": answers}] * bool(answers)
    return {"messages": [USER, {"role": "assistant", "content": calls}, *user]}


def json_schema(schema, name="answer"):
    form = {"name": name, "strict": False, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": form}}


OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
CLAUDE_TOOL = {"name": "lookup", "input_schema": OBJECT}
# Path, what is changed in a valid request, and a part of the message; "" if it is accepted.
CASES = [
    ("openai", {"model": "gpt-9"}, "gpt-9"),
    ("openai", {"top_k": 3}, "top_k"),
    ("openai", {"messages": []}, "messages"),
    ("openai", {"messages": [{**USER, "content": None}]}, "null"),
    ("openai", openai_turns("c2", "c1"), ""),
    ("openai", openai_turns("c1"), "without a result: c2"),
    ("openai", openai_turns("c1", "c3"), "c3 has no call"),
    ("openai", {"tools": [openai_tool(), openai_tool()]}, "unique"),
    ("openai", {"tools": [openai_tool("mail.send")]}, "pattern"),
    ("openai", {"tools": [openai_tool(parameters={"type": "string"})]}, "parameters"),
    ("openai", {"tool_choice": "auto"}, "tool_choice"),
    ("openai", {"tools": [openai_tool()], "tool_choice": openai_tool("x")}, "'x' not found"),
    ("openai", json_schema(OPEN), ""),
    ("openai", json_schema({"type": "thing"}), "response_format"),
    ("openai", {"model": "gpt-5-mini", "max_tokens": 5}, "max_tokens"),
    ("openai", {"model": "gpt-5-mini", "temperature": 0}, "temperature"),
    ("openai", {"model": "gpt-5-mini", "temperature": 1, "max_completion_tokens": 5}, ""),
    ("openai", {"messages": [{**USER, "content": "word " * 150_000}]}, "context length"),
    ("anthropic", {"model": "gpt-4o-mini"}, "gpt-4o-mini"),
    ("anthropic", {"response_format": {}}, "response_format"),
    ("anthropic", {"max_tokens": 0}, "max_tokens"),
    ("anthropic", {"messages": [{"role": "assistant", "content": "Hi."}]}, "assistant"),
    ("anthropic", {"messages": [USER, {"role": "tool", "content": "rain"}]}, "tool"),
    ("anthropic", {"messages": [{**USER, "content": ""}]}, "non-empty"),
    ("anthropic", anthropic_turns("c2", "c1"), ""),
    ("anthropic", anthropic_turns("c1"), "without a result: c2"),
    ("anthropic", anthropic_turns(), "without a result: c1, c2"),
    ("anthropic", {"tools": [CLAUDE_TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "x"),
    ("anthropic", {"messages": [{**USER, "content": "word " * 200_000}]}, "too long"),
]


@pytest.mark.parametrize(("vendor_name", "changes", "problem"), CASES)
def test_request_is_refused_by_a_rule(vendor_name, changes, problem):
    body = {"model": "gpt-4o-mini", "messages": [USER], **changes}
    with launch_vendor(["Hello."]) as vendor:
        options = {"api_key": "test-key", "max_retries": 0}
        client, path = openai.OpenAI(base_url=f"{vendor.url}/v1", **options), "/chat/completions"
        if vendor_name == "anthropic":
            client, path = anthropic.Anthropic(base_url=vendor.url, **options), "/v1/messages"
            body = {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [USER], **changes}
        if not problem:
            assert "Hello." in str(client.post(path, body=body, cast_to=object))
        else:
            with pytest.raises((openai.APIStatusError, anthropic.APIStatusError), match=problem):
                client.post(path, body=body, cast_to=object)
            assert problem in vendor.problems[0]
