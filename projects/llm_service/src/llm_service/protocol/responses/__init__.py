"""`/v1/responses`, OpenAI's Responses API with text and tools, translated into a chat."""

from llm_service.protocol.endpoint import Endpoint
from llm_service.protocol.responses import answer
from llm_service.protocol.responses.request import ResponsesRequest

ENDPOINT = Endpoint(
    path="/responses",
    summary="OpenAI's Responses API with text and tools. Responses are not stored.",
    id_prefix="resp",
    request=ResponsesRequest,
    collect=lambda events, body, about: answer.collect(events, body.echo(), about),
    stream=lambda events, body, about: answer.stream(events, body.echo(), about),
)
