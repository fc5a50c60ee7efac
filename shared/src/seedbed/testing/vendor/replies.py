"""A scripted reply in the form of each protocol: as one body, and as the events of a stream.

https://developers.openai.com/api/reference/resources/chat (completion, chunk)
https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from seedbed.testing.vendor.script import Fault, Reply, count_tokens

Event = dict[str, Any]
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def pieces(text: str) -> list[str]:
    """The text in at least two pieces, if it has two characters, and at most 25."""
    size = max(1, min(4, len(text) // 2), -(-len(text) // 24))
    return [text[start : start + size] for start in range(0, len(text), size)]


class CountedReply:
    """A reply to one request: its text cut at the request's token limit, and its tokens counted."""

    def __init__(self, reply: Reply, body: dict[str, Any], number: int) -> None:
        self.reply, self.body, self.number = reply, body, number
        most = body.get("max_completion_tokens") or body.get("max_tokens") or 2**31
        self.text = reply.text[: 4 * most]
        default = "tool_calls" if reply.tool_calls else "stop"
        self.finish = reply.finish or ("length" if self.text != reply.text else default)
        self.calls = [  # id, name, arguments as text
            (f"call_{number}_{n}", name, value if isinstance(value, str) else json.dumps(value))
            for n, (name, value) in enumerate(reply.tool_calls)
        ]
        self.input_tokens = count_tokens([body["messages"], body.get("system"), body.get("tools")])
        calls = [part for call in self.calls for part in call[1:]]
        self.output_tokens = count_tokens([self.text, reply.refusal, *calls])


# OpenAI


def openai_error(fault: Fault) -> Event:
    error = {"message": fault.message, "type": fault.type, "param": fault.param, "code": fault.code}
    return {"error": error}


def openai_body(done: CountedReply) -> Event:
    message: Event = {
        "role": "assistant",
        "content": None if done.reply.refusal or (done.calls and not done.text) else done.text,
        "refusal": done.reply.refusal or None,
    }
    if done.calls:
        message["tool_calls"] = [
            {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for id, name, arguments in done.calls
        ]
    choice = {"message": message, "logprobs": None, "finish_reason": done.finish}
    count = 0 if done.reply.fault == "empty_choices" else done.body.get("n") or 1
    choices = [{"index": index, **choice} for index in range(count)]
    usage = {"usage": _openai_usage(done)} if done.reply.usage else {}
    return {**_openai_head(done, "chat.completion"), "choices": choices, **usage}


def openai_events(done: CountedReply) -> Iterator[Event]:
    """The chunks of a completion; usage only if the request asked for it."""
    reports_usage = (done.body.get("stream_options") or {}).get("include_usage")
    head = _openai_head(done, "chat.completion.chunk") | ({"usage": None} if reports_usage else {})
    count = 0 if done.reply.fault == "empty_choices" else done.body.get("n") or 1
    for index in range(count):
        for delta, finish in _openai_deltas(done):
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            yield {**head, "choices": [choice]}
    if reports_usage and done.reply.usage:
        yield {**head, "choices": [], "usage": _openai_usage(done)}


def _openai_deltas(done: CountedReply) -> Iterator[tuple[Event, str | None]]:
    yield {"role": "assistant", "content": None if done.calls else "", "refusal": None}, None
    for piece in pieces(done.text):
        yield {"content": piece}, None
    for piece in pieces(done.reply.refusal):
        yield {"refusal": piece}, None
    for place, (id, name, arguments) in enumerate(done.calls):
        function = {"name": name, "arguments": ""}
        start = {"index": place, "id": id, "type": "function", "function": function}
        yield {"tool_calls": [start]}, None
        for piece in pieces(arguments):
            yield {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}, None
    yield {}, done.finish


def _openai_head(done: CountedReply, kind: str) -> Event:
    return {
        "id": f"chatcmpl-{done.number}",
        "object": kind,
        "created": int(time.time()),
        "model": done.body["model"],
    }


def _openai_usage(done: CountedReply) -> Event:
    return {
        "prompt_tokens": done.input_tokens,
        "completion_tokens": done.output_tokens,
        "total_tokens": done.input_tokens + done.output_tokens,
    }


# Anthropic


def anthropic_error(fault: Fault) -> Event:
    return {"type": "error", "error": {"type": fault.type, "message": fault.message}}


def anthropic_body(done: CountedReply) -> Event:
    """The body of a message. Malformed tool arguments exist in streams only; here they are {}."""
    content: list[Event] = []
    if done.text or done.reply.refusal:
        content.append({"type": "text", "text": done.text or done.reply.refusal})
    values = [{} if isinstance(value, str) else value for _, value in done.reply.tool_calls]
    for (id, name, _), value in zip(done.calls, values, strict=True):
        content.append({"type": "tool_use", "id": id, "name": name, "input": value})
    usage = {"input_tokens": done.input_tokens, "output_tokens": done.output_tokens}
    return {
        "id": f"msg_{done.number}",
        "type": "message",
        "role": "assistant",
        "model": done.body["model"],
        "content": [] if done.reply.fault == "empty_choices" else content,
        "stop_reason": "refusal" if done.reply.refusal else _STOP_REASONS.get(done.finish),
        "stop_sequence": None,
        **({"usage": usage} if done.reply.usage else {}),
    }


def anthropic_events(done: CountedReply) -> Iterator[Event]:
    """The events of a message; usage is always included."""
    body = anthropic_body(done)
    stop = {"stop_reason": body["stop_reason"], "stop_sequence": None}
    usage = body.get("usage", {})
    start = {**body, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": start}
    calls = iter([arguments for _, _, arguments in done.calls])
    for index, block in enumerate(body["content"]):
        is_text = block["type"] == "text"
        empty: Event = {"text": ""} if is_text else {"input": {}}
        yield {"type": "content_block_start", "index": index, "content_block": {**block, **empty}}
        yield {"type": "ping"}
        kind, key = ("text_delta", "text") if is_text else ("input_json_delta", "partial_json")
        for piece in pieces(block["text"] if is_text else next(calls)):
            delta = {"type": kind, key: piece}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": stop, "usage": usage}
    yield {"type": "message_stop"}
