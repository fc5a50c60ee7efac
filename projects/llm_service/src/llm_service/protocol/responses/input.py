"""The items of a `/v1/responses` input as the messages of a chat.

Consecutive calls, and the text before them, become one message of the assistant. Reasoning items
are left out: they are an earlier answer's notes, and no model here reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llm_service.protocol.body import call_arguments, invalid, refuse_unsupported

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def messages_of(
    items: str | Sequence[Mapping[str, Any]], instructions: str | None
) -> list[dict[str, Any]]:
    """The messages. BadParameter names the item that can't be used."""
    messages = [{"role": "system", "content": instructions}] if instructions else []
    start = len(messages)
    if isinstance(items, str):
        return [*messages, {"role": "user", "content": items}]
    called: set[str] = set()
    for at, item in enumerate(items):
        place, type_ = f"input.{at}", item.get("type") or "message"
        if type_ == "message":
            messages.append(_message(item, place))
        elif type_ == "function_call":
            call = _call(item, place)
            called.add(call["id"])
            _assistant(messages)["tool_calls"].append(call)
        elif type_ == "function_call_output":
            messages.append(_output(item, place, called))
        elif type_ != "reasoning":
            refuse_unsupported([f"{place}.type ({str(type_)[:40]})"])
    if len(messages) == start:
        raise invalid("input", "contains no message")
    return messages


def _assistant(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The last message if it is the assistant's, else a new one; has a list for tool calls."""
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1].setdefault("tool_calls", [])
    return messages[-1]


def _message(item: Mapping[str, Any], place: str) -> dict[str, Any]:
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise invalid(f"{place}.role", f"should be one of {', '.join(_ROLES)}")
    _check_fields(item, place, ("type", "role", "content", "id", "status", "phase"))
    return {"role": _ROLES[role], "content": _content(item.get("content"), f"{place}.content")}


def _call(item: Mapping[str, Any], place: str) -> dict[str, Any]:
    _check_fields(item, place, ("type", "call_id", "name", "arguments", "id", "status"))
    for name in ("call_id", "name", "arguments"):
        if not isinstance(item.get(name), str):
            raise invalid(f"{place}.{name}", "should be a string")
    arguments = call_arguments(item["arguments"], f"{place}.arguments")
    function = {"name": item["name"], "arguments": arguments}
    return {"id": item["call_id"], "type": "function", "function": function}


def _output(item: Mapping[str, Any], place: str, called: set[str]) -> dict[str, Any]:
    _check_fields(item, place, ("type", "call_id", "output", "id", "status"))
    call_id = item.get("call_id")
    if not isinstance(call_id, str) or call_id not in called:
        raise invalid(
            f"{place}.call_id", f"{str(call_id)[:60]!r} does not match a call of an earlier item"
        )
    content = _content(item.get("output"), f"{place}.output")
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def _content(content: Any, place: str) -> str | list[dict[str, Any]]:
    """A text, or parts in chat's form; parts that are all text become one text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise invalid(place, "should be a string or a list of parts")
    parts = [_part(part, f"{place}.{at}") for at, part in enumerate(content)]
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: Any, place: str) -> dict[str, Any]:
    if not isinstance(part, dict):
        raise invalid(place, "should be an object")
    type_ = part.get("type")
    if type_ in ("input_text", "output_text", "text", "refusal"):
        text = part.get("refusal" if type_ == "refusal" else "text")
        if not isinstance(text, str):
            raise invalid(f"{place}.text", "should be a string")
        return {"type": "text", "text": text}
    if type_ == "input_image" and isinstance(part.get("image_url"), str):
        image = {"url": part["image_url"]}
        image |= {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": image}
    refuse_unsupported([f"{place}.type ({str(type_)[:40]})"])
    raise AssertionError


def _check_fields(item: Mapping[str, Any], place: str, names: Sequence[str]) -> None:
    """Refuse a field that would change the meaning of an item and isn't understood."""
    # The last two: what the official client repeats of an answer that it has parsed.
    allowed = (*names, "parsed_arguments", "caller")
    unknown = [name for name, value in item.items() if value is not None and name not in allowed]
    if unknown:
        refuse_unsupported([f"{place}.{unknown[0][:60]}"])
