"""LangChain's messages as the chat of a model that reads text only and has no role for tools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from seedbed.errors import BadInput


def as_chat(
    messages: Sequence[BaseMessage], extra: str = "", *, calls: bool = True
) -> list[dict[str, str]]:
    """Messages as `{"role", "content"}` with the roles system, user and assistant only.

    All system messages are joined into one at the start, followed by `extra`. A tool's result
    becomes a user message. Earlier calls are shown in the form in which the model calls tools;
    with `calls=False`, for an answer without calls, they are left out, or a small model repeats
    them as text. Raises BadInput for content other than text.
    """
    system = [text_of(m) for m in messages if m.type == "system"] + [extra] * bool(extra)
    names = {c["id"]: c["name"] for m in messages if isinstance(m, AIMessage) for c in m.tool_calls}
    chat = [_chat_message(m, names, calls) for m in messages if m.type != "system"]
    chat = [message for message in chat if message["content"] or message["role"] == "user"]
    return ([{"role": "system", "content": "\n\n".join(system)}] if system else []) + chat


def _chat_message(
    message: BaseMessage, names: Mapping[str | None, str], show_calls: bool
) -> dict[str, str]:
    if isinstance(message, ToolMessage):
        name = message.name or names.get(message.tool_call_id, "")
        name = f" of {name}" if name else ""
        status = " (it failed)" if message.status == "error" else ""
        return {"role": "user", "content": f"Result{name}{status}: {text_of(message)}"}
    if isinstance(message, AIMessage):
        calls = [
            json.dumps({"name": c["name"], "arguments": c["args"]}, ensure_ascii=False)
            for c in (message.tool_calls if show_calls else ())
        ]
        content = "\n".join(part for part in (text_of(message), *calls) if part)
        return {"role": "assistant", "content": content}
    return {"role": "user", "content": text_of(message)}


def text_of(message: BaseMessage) -> str:
    """The text of a message; raises BadInput for images and other content that is not text."""
    if isinstance(message.content, str):
        return message.content
    texts = []
    for block in message.content:
        kind = "text" if isinstance(block, str) else block.get("type")
        if kind not in ("text", "tool_use", "tool_call", "tool_result"):
            raise BadInput(
                f"Unsupported content of type {kind!r}: this model reads text only.",
                hint="Send text.",
            )
        text = block
        if not isinstance(block, str):
            text = block.get("text") or block.get("content") or ""
        texts.append(text if isinstance(text, str) else json.dumps(text, ensure_ascii=False))
    return "\n".join(filter(None, texts))
