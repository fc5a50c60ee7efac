"""What local models do not support: a request that needs it is refused by name, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llm_service.protocol.body import asked_beyond, invalid, refuse_unsupported
from llm_service.request import Ask, several

_CHAT = frozenset(
    (
        *("messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k"),
        *("seed", "stop", "n", "logprobs", "frequency_penalty", "presence_penalty", "user"),
        *("repetition_penalty", "ignore_eos", "min_tokens", "metadata", "response_format"),
        *("tools", "tool_choice", "parallel_tool_calls", "prompt_cache_key", "safety_identifier"),
    )
)
_EMBEDDING = frozenset(("input", "encoding_format", "user"))


def check(ask: Ask, body: Mapping[str, Any]) -> None:
    """Raise BadParameter for a field that no local model supports.

    `body` is the request's with the defaults of the model.
    """
    if ask.kind == "embedding":
        if any(not isinstance(text, str) for text in several(body["input"])):
            raise invalid(
                "input",
                "token ids are not supported, because they depend on the vocabulary of one model",
                "Send strings (LangChain's OpenAIEmbeddings: check_embedding_ctx_length=False).",
            )
        refuse_unsupported(asked_beyond(body, _EMBEDDING))
    else:
        refuse_unsupported(of_chat(body))


def of_chat(body: Mapping[str, Any]) -> list[str]:
    """The fields of a chat's body that no local model supports."""
    names = asked_beyond(body, _CHAT)
    for at, message in enumerate(body.get("messages", ())):
        if message["role"] == "function":
            names.append(f"messages.{at}.role")
        names += [
            f"messages.{at}.{name}" for name in ("audio", "function_call") if message.get(name)
        ]
        content = message.get("content")
        if isinstance(content, list):
            parts = enumerate(content)
            names += [
                f"messages.{at}.content.{n}.type ({p['type'][:40]})"
                for n, p in parts
                if p["type"] != "text"
            ]
        for n, call in enumerate(message.get("tool_calls") or ()):
            if call.get("type", "function") != "function":
                names.append(f"messages.{at}.tool_calls.{n}.type")
    tools = enumerate(body.get("tools", ()))
    names += [
        f"tools.{at}.type ({tool['type'][:40]})" for at, tool in tools if tool["type"] != "function"
    ]
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice["type"] != "function":
        names.append("tool_choice.type")
    return names
