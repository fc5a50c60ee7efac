"""Plug-in: `/v1/completions`, OpenAI's older endpoint for text without a chat template."""

from llm_service.protocol.completions import completions
from llm_service.protocol.endpoint import Endpoint

ENDPOINT = Endpoint(
    path="/completions",
    summary="Continue a text, without a chat template.",
    id_prefix="cmpl",
    request=completions.CompletionRequest,
    collect=lambda events, body, about: completions.collect(events, *about),  # noqa: ARG005
    stream=lambda events, body, about: completions.stream(
        events, *about, include_usage=body.include_usage
    ),
    unsupported=completions.unsupported,
    prelude=completions.echoed,
)
