"""A request of OpenAI's chat protocol in the terms of Anthropic's messages API.

A JSON schema is kept by a tool that the model must call with the answer as its arguments; what
Anthropic has no way to do is refused by name. It sends nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from seedbed.errors import BadInput

MAX_TOKENS = 1024
ANSWER = "answer"  # the tool that stands for a JSON schema
_AS_THEY_ARE = ("temperature", "top_p", "top_k", "thinking")
_READ_HERE = {
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "user",
    "metadata",
    "store",
    "n",
    "logprobs",
}


def request_of(
    body: Mapping[str, Any], model: str, name: str, passthrough: Sequence[str] = ()
) -> dict[str, Any]:
    """The body of /v1/messages for a body of OpenAI's. Raises BadInput naming what can't be."""
    _refuse({k: v for k, v in body.items() if k not in passthrough}, name)
    system, messages = _messages(body.get("messages") or (), name)
    request: dict[str, Any] = {
        "model": model,
        "max_tokens": body.get("max_completion_tokens") or body.get("max_tokens") or MAX_TOKENS,
        "messages": messages,
    }
    if system:
        request["system"] = system
    if stop := body.get("stop"):
        request["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    for field in (*_AS_THEY_ARE, *passthrough):
        if field in body:
            request[field] = body[field]
    if "temperature" in request:
        request["temperature"] = min(request["temperature"], 1.0)  # OpenAI's scale ends at 2
    if user := body.get("user"):
        request["metadata"] = {"user_id": user}
    _tools(body, request)
    _schema(body, request, name)
    return request


def _refuse(body: Mapping[str, Any], name: str) -> None:
    unsupported = sorted(set(body) - _READ_HERE - set(_AS_THEY_ARE))
    # 0 and {} change nothing: many clients always send them.
    wrong = [f for f in unsupported if body[f] not in (None, 0, {}, []) or f == "seed"]
    if (body.get("n") or 1) > 1:
        wrong.append("n")
    if body.get("logprobs"):
        wrong.append("logprobs")
    if wrong:
        raise BadInput(
            f"{name}: {wrong[0]}={str(body[wrong[0]])[:40]} is not supported by Anthropic.",
            hint=f"Remove {', '.join(wrong)}, or use another model.",
        )


def _messages(
    openai_messages: Sequence[Mapping[str, Any]], name: str
) -> tuple[str, list[dict[str, Any]]]:
    """The system prompt, and the turns in Anthropic's form (neighbours of one role are joined)."""
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    for message in openai_messages:
        role = message["role"]
        if role in ("system", "developer"):
            system.append(_text(message.get("content")))
            continue
        if role in ("tool", "function"):
            result = {
                "type": "tool_result",
                "tool_use_id": message.get("tool_call_id", ""),
                "content": _text(message.get("content")),
            }
            role, blocks = "user", [result]
        else:
            blocks = [*_blocks(message.get("content"), name), *_calls(message)]
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return "\n\n".join(filter(None, system)), turns


def _text(content: Any) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.get("text", "") for part in content)


def _blocks(content: Any, name: str) -> list[dict[str, Any]]:
    if not content:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_block(part, name) for part in content]


def _block(part: Mapping[str, Any], name: str) -> dict[str, Any]:
    if part.get("type") == "text":
        return {"type": "text", "text": part.get("text", "")}
    if part.get("type") == "refusal":
        return {"type": "text", "text": part.get("refusal", "")}
    if part.get("type") == "image_url":
        image = part.get("image_url")
        url = image.get("url", "") if isinstance(image, Mapping) else str(image)
        if url.startswith("data:") and ";base64," in url:
            kind, _, data = url.removeprefix("data:").partition(";base64,")
            source = {"type": "base64", "media_type": kind, "data": data}
        else:
            source = {"type": "url", "url": url}
        return {"type": "image", "source": source}
    raise BadInput(f"{name}: content of type {part.get('type')!r} is not supported by Anthropic.")


def _calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    blocks = []
    for call in message.get("tool_calls") or ():
        function = call["function"]
        try:
            arguments = json.loads(function.get("arguments") or "{}")
        except ValueError:
            arguments = {"arguments": function["arguments"]}
        if not isinstance(arguments, dict):
            arguments = {"arguments": arguments}
        blocks.append(
            {
                "type": "tool_use",
                "id": call.get("id", ""),
                "name": function["name"],
                "input": arguments,
            }
        )
    return blocks


def _tools(body: Mapping[str, Any], request: dict[str, Any]) -> None:
    if not (tools := body.get("tools")):
        return
    request["tools"] = [
        {
            "name": tool["function"]["name"],
            "description": tool["function"].get("description") or "",
            "input_schema": tool["function"].get("parameters") or {"type": "object"},
        }
        for tool in tools
    ]
    choice = body.get("tool_choice")
    kind = {"auto": "auto", "none": "none", "required": "any"}.get(
        choice if isinstance(choice, str) else "", "auto"
    )
    request["tool_choice"] = {"type": kind}
    if isinstance(choice, Mapping):
        request["tool_choice"] = {"type": "tool", "name": choice["function"]["name"]}
    if body.get("parallel_tool_calls") is False and kind != "none":
        request["tool_choice"]["disable_parallel_tool_use"] = True


def _schema(body: Mapping[str, Any], request: dict[str, Any], name: str) -> None:
    response_format = body.get("response_format") or {"type": "text"}
    if response_format["type"] == "text":
        return
    if "tools" in request:
        raise BadInput(
            f"{name}: Anthropic does not support response_format together with tools.",
            hint="Remove one of them, or use another model.",
        )
    schema = {"type": "object"}
    if response_format["type"] == "json_schema":
        schema = response_format["json_schema"].get("schema") or schema
        if schema.get("type", "object") != "object":
            raise BadInput(
                f"{name}: Anthropic requires a response_format schema of type 'object', "
                f"not {schema['type']!r}."
            )
    description = "Give your answer by calling this tool."
    request["tools"] = [{"name": ANSWER, "description": description, "input_schema": schema}]
    request["tool_choice"] = {"type": "tool", "name": ANSWER}
