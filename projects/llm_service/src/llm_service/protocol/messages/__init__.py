"""`/v1/messages`, Anthropic's Messages API with text, images and tools, as a chat."""

from llm_service.protocol.endpoint import Endpoint
from llm_service.protocol.messages import answer
from llm_service.protocol.messages.request import MessagesRequest

ENDPOINT = Endpoint(
    path="/messages",
    summary="Anthropic's Messages API with text, images and tools, for any model.",
    id_prefix="msg",
    request=MessagesRequest,
    collect=lambda events, body, about: answer.collect(events, about),  # noqa: ARG005
    stream=lambda events, body, about: answer.stream(events, about),  # noqa: ARG005
)
