"""LangChain's chat models for OpenAI's protocol and Azure's, with two fixes.

    OpenAIChat(model="gpt-4o-mini", max_tokens=200)
    AzureOpenAIChat(model="my-deployment")

Many other servers accept only the older name of the token limit, `max_tokens`. And LangChain drops
the text of a refusal in a stream, which would then look like an empty reply.
"""

from __future__ import annotations

import re
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import AzureChatOpenAI, ChatOpenAI
from langchain_openai.chat_models.base import BaseChatOpenAI

_REASONING = re.compile(r"(ft:)?(o\d|gpt-([5-9]|\d\d))")  # these refuse `max_tokens`


class _StreamedRefusals(BaseChatOpenAI):
    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], *arguments: Any
    ) -> ChatGenerationChunk | None:
        converted = super()._convert_chunk_to_generation_chunk(chunk, *arguments)
        choices = chunk.get("choices") or [{}]
        if converted and (refusal := (choices[0].get("delta") or {}).get("refusal")):
            converted.message.additional_kwargs["refusal"] = refusal
        return converted


class AzureOpenAIChat(_StreamedRefusals, AzureChatOpenAI):
    """Reads streamed refusals. The name of a deployment does not tell how its model limits tokens,
    so the limit is sent by its newer name, which all models of Azure accept."""


class OpenAIChat(_StreamedRefusals, ChatOpenAI):
    """Sends the token limit by the name that the model accepts, and reads streamed refusals."""

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload: dict[str, Any] = super()._get_request_payload(input_, stop=stop, **kwargs)
        if "max_completion_tokens" in payload and not _REASONING.match(self.model_name):
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload
