"""OpenAI's chat protocol over the collections, for programs that only speak that.

    client = OpenAI(base_url="http://127.0.0.1:8001/v1", api_key="any")
    client.chat.completions.create(model="default", messages=[…])     # a collection is a model

A conversation is the messages that are sent; nothing is stored. The answer is the same as that of
`/v1/ask`, followed by a list of its sources. Links to them are in `annotations`, and the quotes in
`citations`, a field of our own.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import urljoin

from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from rag_chatbot.answer.follow_up import Exchange
from rag_chatbot.chatbot import Question
from rag_chatbot.talk.page_html import view_link
from rag_chatbot.talk.streams import Bot, Item, event, event_stream, last_item
from rag_chatbot.talk.terminal import location
from seedbed.errors import BadInput
from seedbed.server.service import CleanText, CurrentCaller

SOURCES = "\n\nSources:\n"  # heading of the list below an answer
Json = dict[str, Any]
router = APIRouter()


def _as_text(content: Any) -> Any:
    """The content of a message, which may come in parts, as one text."""
    if not isinstance(content, list):
        return "" if content is None else content
    if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        raise ValueError("only text can be read; for files there is POST /v1/documents")
    return "\n".join(str(part.get("text", "")) for part in content)


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[CleanText, BeforeValidator(_as_text)] = ""


class ChatRequest(BaseModel):
    """Other fields of the protocol, such as sampling parameters, are accepted without effect."""

    model_config = ConfigDict(extra="allow")

    model: CleanText = Field(
        description="Name of a collection, see `/v1/models`.", examples=["default"]
    )
    messages: list[Message] = Field(
        min_length=1,
        description="The conversation; the last message is the question. Messages other than"
        " `user` and `assistant` are ignored, system prompts among them.",
    )
    stream: bool = False
    stream_options: dict[str, Any] | None = None

    def question(self) -> Question:
        """The last message as a question about the ones before it. Raises BadInput."""
        turns = [m for m in self.messages if m.role in ("user", "assistant")]
        if not turns or turns[-1].role != "user":
            raise BadInput("The last message must be a question, with the role 'user'.")
        earlier = _exchanges(turns[:-1])
        return Question(turns[-1].content, self.model, history=earlier, keep=False)


@router.get("/models")
def list_models(caller: CurrentCaller, chatbot: Bot) -> Json:
    """List the collections that the caller may read, as OpenAI lists models."""
    model = {"object": "model", "created": 0, "owned_by": "rag_chatbot"}
    return {"object": "list", "data": [{"id": id_} | model for id_ in chatbot.collections(caller)]}


@router.post("/chat/completions", response_model=None)
async def chat_completions(
    request: ChatRequest, caller: CurrentCaller, chatbot: Bot, http: Request
) -> Any:
    """Answer the last message from the documents of a collection, in OpenAI's format."""
    completion = _Completion(request.model, str(http.base_url))
    events = chatbot.stream(request.question(), caller=caller)
    if not request.stream:
        answer = await last_item(http, events)
        assert isinstance(answer, dict)
        return completion.whole(answer)
    usage = bool((request.stream_options or {}).get("include_usage"))
    return await event_stream(http, events, partial(completion.chunks, with_usage=usage))


def _exchanges(messages: Sequence[Message]) -> tuple[Exchange, ...]:
    """Questions with their answers; the list of sources is not part of an answer."""
    exchanges: list[Exchange] = []
    for message in messages:
        if message.role == "user":
            exchanges.append(Exchange(message.content))
        elif exchanges:
            answer = message.content.partition(SOURCES)[0]
            exchanges[-1] = Exchange(exchanges[-1].question, answer)
    return tuple(exchanges)


class _Completion:
    """One answer in OpenAI's format. `base_url` is the server's, for links to documents."""

    def __init__(self, collection: str, base_url: str) -> None:
        self.collection = collection
        self.base_url = base_url
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())

    def whole(self, answer: Json) -> Json:
        """The response to a request without `stream`."""
        message = {
            "role": "assistant",
            "content": answer["answer"] + _source_list(answer),
            "annotations": self._annotations(answer),
        }
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        more = {"usage": _usage(answer), "citations": answer["citations"]}
        return self._frame("chat.completion", [choice], **more)

    def chunks(self, items: Iterator[Item], with_usage: bool) -> Iterator[bytes]:
        """The response as server-sent events."""
        yield self._chunk({"role": "assistant", "content": ""})
        answer: Json = {}
        for item in items:
            if isinstance(item, dict):
                answer = item
            else:
                yield self._chunk({"content": item}) if item else b""
        sources = {"content": _source_list(answer), "annotations": self._annotations(answer)}
        yield self._chunk(sources, citations=answer["citations"])
        yield self._chunk({}, finish_reason="stop")
        if with_usage:
            yield event(self._frame("chat.completion.chunk", [], usage=_usage(answer)))
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: Json, finish_reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return event(self._frame("chat.completion.chunk", [choice], **more))

    def _frame(self, kind: str, choices: list[Json], **more: Any) -> Json:
        head = {"id": self.id, "created": self.created, "model": self.collection}
        return {**head, "object": kind, "choices": choices, **more}

    def _annotations(self, answer: Json) -> list[Json]:
        """A link for each mark `[n]` in the text, which opens the document at the quote."""
        annotations = []
        for citation in answer["citations"]:
            mark = f"[{citation['n']}]"
            start = max(0, answer["answer"].find(mark))
            link = {
                "url": urljoin(self.base_url, view_link(citation, self.collection)),
                "title": location(citation),
                "start_index": start,
                "end_index": start + len(mark),
            }
            annotations.append({"type": "url_citation", "url_citation": link})
        return annotations


def _source_list(answer: Json) -> str:
    lines = [f"[{citation['n']}] {location(citation)}" for citation in answer["citations"]]
    return SOURCES + "\n".join(lines) if lines else ""


def _usage(answer: Json) -> Json | None:
    """The tokens of an answer; None where they are unknown."""
    read, written = answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]
    if read is None or written is None:
        return None
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
