"""The text of LangChain's messages, for models that read text only."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import BaseMessage

from seedbed.errors import BadInput


def text_of(message: BaseMessage) -> str:
    """The text of a message; raises BadInput for images and other content that is not text."""
    if isinstance(message.content, str):
        return message.content
    texts = []
    for block in message.content:
        kind = "text" if isinstance(block, str) else block.get("type")
        if kind in ("text", "tool_use", "tool_call", "tool_result"):
            texts.append(block if isinstance(block, str) else _block_text(block))
        else:
            raise BadInput(
                f"Unsupported content of type {kind!r}: this model reads text only.",
                hint="Send text.",
            )
    return "\n".join(text for text in texts if text)


def _block_text(block: dict[str, Any]) -> str:
    content = block.get("text") or block.get("content") or ""
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
