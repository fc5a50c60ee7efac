"""The script and the faults of the server, as the real clients see them.

What `load_chat_model` meets too, such as tools, streams, most faults and retries, is tested with
it.
"""

import threading

import anthropic
import httpx
import openai
import pytest

from seedbed.testing.vendor.script import Reply, read_replies
from seedbed.testing.vendor.server import launch_vendor

TEXT = "What is the weather in Paris?"


def ask(vendor, text=TEXT, *, client="openai", **options):
    """The reply of the vendor through its own client, in one way for all tests."""
    messages = [{"role": "user", "content": text}]
    options = {"api_key": "test-key", "max_retries": 0, **options}
    if client == "openai":
        completions = openai.OpenAI(base_url=f"{vendor.url}/v1", **options).chat.completions
        return completions.create(model="gpt-4o-mini", messages=messages)
    claude = anthropic.Anthropic(base_url=vendor.url, **options)
    return claude.messages.create(model="claude-haiku-4-5", max_tokens=100, messages=messages)


both = pytest.mark.parametrize(("client", "errors"), [("openai", openai), ("claude", anthropic)])


def test_replies_come_in_order_except_those_with_a_match():
    script = ["one", Reply("invoice!", match="invoice"), lambda body: body["model"]]
    with launch_vendor(script) as vendor:
        replies = [ask(vendor, text) for text in ("a", "b", "my invoice")]
    texts = [reply.choices[0].message.content for reply in replies]
    assert texts == ["one", "gpt-4o-mini", "invoice!"]


@both
def test_exhausted_script_fails_at_once_and_says_so(client, errors):
    with launch_vendor([]) as vendor:
        with pytest.raises(errors.InternalServerError, match="no reply left for"):
            ask(vendor, client=client, max_retries=5)
        assert len(vendor.calls) == 1
        assert vendor.problems[0].endswith("the weather in Paris?'")


def test_table_on_disk_has_the_same_fields(tmp_path):
    table = tmp_path / "replies.jsonl"
    table.write_text('"Hello."\n\n{"fault": "429", "retry_after": 0.2}\n', encoding="utf-8")
    assert read_replies(table) == ["Hello.", Reply(fault="429", retry_after=0.2)]


@both
def test_disconnect_of_a_client_that_gives_up_is_recorded(client, errors):
    with launch_vendor([Reply(fault="hang")]) as vendor:
        with pytest.raises(errors.APITimeoutError):
            ask(vendor, client=client, timeout=0.3)
        vendor.wait_until(lambda: vendor.calls[0].disconnected)


def test_reply_that_drips_goes_on_until_the_client_leaves():
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": TEXT}], "stream": True}
    headers = {"authorization": "Bearer test-key"}
    with launch_vendor([Reply(fault="drip")]) as vendor:
        url = f"{vendor.url}/v1/chat/completions"
        with httpx.stream("POST", url, json=body, headers=headers) as response:
            assert next(response.iter_bytes()).startswith(b": keep-alive")
        vendor.wait_until(lambda: vendor.calls[0].disconnected)


def test_server_stops_while_a_reply_hangs():
    def fail():
        with pytest.raises(openai.APIConnectionError):
            ask(vendor)

    with launch_vendor([Reply(fault="hang")]) as vendor:
        thread = threading.Thread(target=fail)
        thread.start()
        vendor.wait_until(lambda: vendor.calls)
    thread.join(5)
    assert not thread.is_alive()
    assert not vendor.calls[0].disconnected
