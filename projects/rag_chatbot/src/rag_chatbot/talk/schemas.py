"""Request and response bodies of the HTTP API, with the examples in its OpenAPI document.

For example, `AskRequest(question="What is hybrid search?")` is the body of `POST /v1/ask`, and
`AskResponse` is what comes back.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rag_chatbot.answer.answer import Citation
from rag_chatbot.conversation import Rating
from seedbed.server import service
from seedbed.server.service import CleanText

Name = Annotated[CleanText, Field(min_length=1, max_length=200, examples=["default"])]
Source = Annotated[CleanText, Field(min_length=1, examples=["concepts/rag.md"])]
Keys = Annotated[
    list[CleanText],
    Field(description="Names of API keys beside the caller's own; `*` means every caller."),
]
Example = dict[str, Any]

QUOTE = "Hybrid search runs both and merges the two lists."
ANSWER: Example = {
    "id": "5f0c0a4be4f14c6f9d6b0d8a1f0f2a77",
    "conversation_id": "c1a9a6d2c5f54f0ea5f7a4a7a2a3c5b1",
    "answer": f"{QUOTE} [1]",
    "abstained": False,
    "citations": [
        {
            "n": 1,
            "source": "concepts/rag.md",
            "page": None,
            "heading": "Vector search and keyword search",
            "quote": QUOTE,
            "document_id": 9,
            "start": 2476,
            "end": 2525,
        }
    ],
    "question": "What is hybrid search?",
    "model": "smollm2",
    "prompt_version": "quote",
    "usage": {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0},
    "timings": {"retrieve": 0.008, "quote": 0.012, "first_token": 0.021, "total": 0.021},
    "passages": [],
    "notices": [],
}


def _example(*examples: Example) -> ConfigDict:
    # A field that does not exist is refused: a misspelled `collection` would search another one.
    return ConfigDict(extra="forbid", json_schema_extra={"examples": list(examples)})


class ErrorResponse(service.ErrorResponse):
    model_config = _example(
        {
            "error": {
                "type": "not_found",
                "message": "Unknown collection 'notes', or no permission to read it.",
                "request_id": "9b2f6c1d0e",
            }
        }
    )


_ERROR_STATUS = {
    400: "The request is invalid",
    401: "Missing or invalid API key",
    403: "This key may read it, but not change it",
    404: "It does not exist, or this key may not read it",
    413: "The body or a file is larger than the limit",
    429: "Too many requests; retry after the seconds in `Retry-After`",
    503: "A service that is needed, e.g. Chroma, is unavailable",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text} for status, text in _ERROR_STATUS.items()
} | {"default": {"model": ErrorResponse, "description": "Any other error"}}
TAKEN: dict[int | str, dict[str, Any]] = {
    409: {"model": ErrorResponse, "description": "The name is not available"}
}
_EVENTS = 'event: token\ndata: {"text": "Hybrid search runs"}\n\nevent: answer\ndata: {"id": …}\n\n'
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer. With `stream`: `token` events, then `answer` or `error`",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}},
    }
}


class AskRequest(BaseModel):
    model_config = _example(
        {"question": "What is hybrid search?"},
        {"question": "And how are they fused?", "conversation_id": ANSWER["conversation_id"]},
        {"question": "What is hybrid search?", "collection": "default", "stream": True},
    )

    question: CleanText = Field(description="At most 4,000 characters.")
    collection: Name = "default"
    conversation_id: CleanText | None = Field(
        None, description="Conversation to continue. Default: start a new one."
    )
    stream: bool = Field(False, description="Return the answer as server-sent events.")
    k: int | None = Field(
        None, ge=1, le=50, description="Number of passages to answer from. Default: `RAG_K`."
    )
    mode: Literal["auto", "quote", "write"] | None = Field(
        None,
        description="`quote`: sentences of the documents. `write`: the model's own, each checked."
        " Default: `RAG_MODE`.",
    )
    strictness: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How much evidence an answer needs, 0 to 1. Default: `RAG_STRICTNESS`.",
    )


class Usage(BaseModel):
    """Tokens of all calls of the model; null where the vendor did not report them."""

    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None = Field(description="Their list price; null where it is unknown.")


class AskResponse(BaseModel):
    model_config = _example(ANSWER)

    id: str = Field(description="Identifies this answer in `/v1/feedback`.")
    conversation_id: str
    answer: str
    abstained: bool = Field(description="True if the documents don't contain the answer.")
    citations: list[Citation] = Field(
        description="`quote` is the text of the document from `start` to `end`, in characters."
    )
    question: str = Field(
        description="The question that was searched for: a follow-up is completed from the"
        " conversation."
    )
    model: str
    prompt_version: str = Field(description="`quote` if no language model was called.")
    usage: Usage
    timings: dict[str, float] = Field(description="Seconds from the start, by step.")
    passages: list[dict[str, Any]] = Field(
        description="The retrieved chunks, best first: source, page, heading, text, score, and"
        " start and end in the document."
    )
    notices: list[str] = Field(description="What was left out of the answer, and why.")


class SearchRequest(BaseModel):
    model_config = _example({"query": "hybrid search", "k": 5})

    query: CleanText = Field(description="At most 4,000 characters.")
    collection: Name = "default"
    k: int | None = Field(None, ge=1, le=50, description="Number of passages. Default: `RAG_K`.")


class FeedbackRequest(BaseModel):
    model_config = _example({"id": ANSWER["id"], "rating": "up"})

    id: CleanText = Field(description="The `id` of the answer.")
    rating: Rating


class CollectionRequest(BaseModel):
    model_config = _example(
        {"name": "notes"},
        {"name": "alice/notes", "readers": ["alice", "bob"], "writers": ["alice"]},
    )

    name: Name
    readers: Keys = []
    writers: Keys = []
