"""Conversations and faults of the scripted server, as the real clients see them.

What `load_chat_model` meets too, such as streams, each fault and retries, is tested with it.
"""

import threading

import anthropic
import httpx
import openai
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from seedbed.testing.vendor.script import Reply, read_replies
from seedbed.testing.vendor.server import launch_vendor

USER = {"role": "user", "content": "What is the weather in Paris?"}
LOOKUP = Reply(tool_calls=[("lookup", {"city": "Paris"})])
TIMEOUT = 0.3  # seconds that a client waits for a reply that does not come


def lookup(city: str) -> str:
    """The weather of a city."""
    return f"rain in {city}"


class OpenAI:
    """Calls the OpenAI client in one way for all tests."""

    errors = openai

    def __init__(self, vendor, **options):
        options = {"max_retries": 0, **options}
        self.client = openai.OpenAI(base_url=f"{vendor.url}/v1", api_key="test-key", **options)

    def ask(self, **options):
        return self.client.chat.completions.create(model="gpt-4o-mini", messages=[USER], **options)


class Anthropic:
    """Calls the Anthropic client in one way for all tests."""

    errors = anthropic

    def __init__(self, vendor, **options):
        options = {"max_retries": 0, **options}
        self.client = anthropic.Anthropic(base_url=vendor.url, api_key="test-key", **options)

    def ask(self, **options):
        return self.client.messages.create(
            model="claude-haiku-4-5", max_tokens=100, messages=[USER], **options
        )


both = pytest.mark.parametrize("client", [OpenAI, Anthropic])


def langchain_openai(vendor, **options):
    return ChatOpenAI(
        model="gpt-4o-mini", base_url=f"{vendor.url}/v1", api_key="test-key", **options
    )


def langchain_anthropic(vendor, **options):
    return ChatAnthropic(
        model="claude-haiku-4-5", base_url=vendor.url, api_key="test-key", **options
    )


langchain = pytest.mark.parametrize("open_model", [langchain_openai, langchain_anthropic])


# Conversations


@langchain
def test_conversation_with_tools_is_accepted(open_model):
    with launch_vendor([LOOKUP, "It rains in Paris."]) as vendor:
        model = open_model(vendor).bind_tools([lookup])
        messages = [HumanMessage("What is the weather in Paris?")]
        reply = model.invoke(messages)
        assert reply.tool_calls[0]["args"] == {"city": "Paris"}
        result = ToolMessage(lookup("Paris"), tool_call_id=reply.tool_calls[0]["id"])
        assert model.invoke([*messages, reply, result]).text == "It rains in Paris."
        assert vendor.problems == []
        assert [call.status for call in vendor.calls] == [200, 200]
        assert "rain in Paris" in str(vendor.calls[1].body["messages"])


# The script


def test_replies_come_in_order_except_those_with_a_match():
    script = ["one", Reply("invoice!", match="invoice"), "two"]
    with launch_vendor(script) as vendor:
        model = langchain_openai(vendor)
        texts = [model.invoke(text).text for text in ("a", "b", "my invoice")]
        assert texts == ["one", "two", "invoice!"]


def test_function_in_the_script_receives_the_request():
    with launch_vendor([lambda body: body["messages"][-1]["content"].upper()]) as vendor:
        assert langchain_openai(vendor).invoke("hello").text == "HELLO"


@both
def test_exhausted_script_fails_at_once_and_says_so(client):
    with launch_vendor([]) as vendor:
        retrying = client(vendor, max_retries=5)
        with pytest.raises(client.errors.InternalServerError, match="no reply left for"):
            retrying.ask()
        assert len(vendor.calls) == 1
        assert vendor.problems[0].endswith("the weather in Paris?'")


def test_table_on_disk_has_the_same_fields(tmp_path):
    table = tmp_path / "replies.jsonl"
    table.write_text('"Hello."\n\n{"fault": "429", "retry_after": 0.2}\n', encoding="utf-8")
    assert read_replies(table) == ["Hello.", Reply(fault="429", retry_after=0.2)]
    table.write_text('{"text": "a"}\n{"texts": "b"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"replies.jsonl:2: .*texts"):
        read_replies(table)


# Faults


@both
@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_disconnect_of_a_client_that_gives_up_is_recorded(client, fault):
    # A client's timeout is for each read, so only a caller's deadline ends a reply that drips.
    with launch_vendor([Reply(fault=fault)]) as vendor:
        url, key = vendor.url, "test-key"
        path = "/v1/chat/completions" if client is OpenAI else "/v1/messages"
        headers = {"authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
        model = "gpt-4o-mini" if client is OpenAI else "claude-haiku-4-5"
        body = {"model": model, "max_tokens": 9, "messages": [USER], "stream": fault == "drip"}
        if fault == "hang":
            with pytest.raises(client.errors.APITimeoutError):
                client(vendor, timeout=TIMEOUT).ask()
        else:
            with httpx.stream("POST", url + path, json=body, headers=headers) as response:
                assert next(response.iter_bytes()).startswith(b": keep-alive")
        vendor.wait_until(lambda: vendor.calls[0].disconnected)


def test_server_stops_while_a_reply_hangs():
    def ask():
        with pytest.raises(openai.APIConnectionError):
            OpenAI(vendor).ask()

    with launch_vendor([Reply(fault="hang")]) as vendor:
        thread = threading.Thread(target=ask)
        thread.start()
        vendor.wait_until(lambda: vendor.calls)
    thread.join(5)
    assert not thread.is_alive()
    assert not vendor.calls[0].disconnected


def test_replies_that_are_hard_to_use_arrive_unchanged():
    replies = [
        Reply(fault="empty_choices"),
        Reply(""),
        Reply("It ra", finish="length"),
        Reply("", finish="content_filter"),
        Reply(refusal="I can't help with that."),
        Reply('```json\n{"a": 1}\n```'),
        Reply(tool_calls=[("lookup", '{"city": "Par')]),
        Reply("Hello.", usage=False),
    ]
    with launch_vendor(replies) as vendor:
        client = OpenAI(vendor)
        assert client.ask().choices == []
        assert client.ask().choices[0].message.content == ""
        assert client.ask().choices[0].finish_reason == "length"
        assert client.ask().choices[0].finish_reason == "content_filter"
        message = client.ask().choices[0].message
        assert (message.content, message.refusal) == (None, "I can't help with that.")
        assert client.ask().choices[0].message.content.startswith("```json")
        call = client.ask().choices[0].message.tool_calls[0]
        assert call.function.arguments == '{"city": "Par'
        assert client.ask().usage is None
