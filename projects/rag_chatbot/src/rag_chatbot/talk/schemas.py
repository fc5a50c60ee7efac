"""What the HTTP API takes and gives, with the examples that its OpenAPI document shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rag_chatbot.conversation import Rating
from seedbed.server.service import CleanText

Name = Annotated[CleanText, Field(min_length=1, max_length=200, examples=["default"])]
Source = Annotated[CleanText, Field(min_length=1, examples=["concepts/rag.md"])]
Keys = Annotated[list[CleanText], Field(description="Names of API keys; `*` is anyone.")]
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
            "score": 0.81,
            "document_id": 9,
            "start": 2476,
            "end": 2525,
        }
    ],
    "question": "What is hybrid search?",
    "model": "smollm2",
    "prompt_version": "quote",
    "usage": {"input_tokens": 0, "output_tokens": 0},
    "timings": {"retrieve": 0.008, "select": 0.012, "first_token": 0.021, "total": 0.021},
    "passages": [],
    "notices": [],
}


def _example(*examples: Example) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": list(examples)})


class ErrorDetail(BaseModel):
    type: str = Field(description="What to switch on, e.g. `not_found`.")
    message: str = Field(description="What was wrong, and what to do next.")
    request_id: str


class ErrorResponse(BaseModel):
    model_config = _example(
        {
            "error": {
                "type": "not_found",
                "message": "There is no collection 'notes' that you may read.",
                "request_id": "9b2f6c1d0e",
            }
        }
    )

    error: ErrorDetail


_ERROR_STATUS = {
    400: "What was sent cannot be used as it is",
    401: "No API key, or not a known one",
    404: "No such thing, or not yours to see",
    413: "Over the size limit",
    429: "Full for the moment: see `Retry-After`",
    503: "A part that it depends on is stopped",
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text} for status, text in _ERROR_STATUS.items()
} | {"default": {"model": ErrorResponse, "description": "Any other error"}}
_EVENTS = 'event: token\ndata: {"text": "Hybrid search runs"}\n\nevent: answer\ndata: {"id": …}\n\n'
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream`, events `token` and then `answer` or `error`",
        "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}},
    }
}


class AskRequest(BaseModel):
    model_config = _example(
        {"question": "What is hybrid search?"},
        {"question": "And when should I rerank?", "conversation_id": ANSWER["conversation_id"]},
        {"question": "What is hybrid search?", "collection": "default", "stream": True},
    )

    question: CleanText = Field(description="Up to 4,000 characters.")
    collection: Name = "default"
    conversation_id: CleanText | None = Field(None, description="Continues that conversation.")
    stream: bool = Field(False, description="Answer as server-sent events.")
    k: int | None = Field(None, ge=1, le=50, description="Passages to answer from.")
    mode: Literal["auto", "quote", "write"] | None = None
    strictness: float | None = Field(None, ge=0, le=1, description="How sure to be to answer.")


class Citation(BaseModel):
    n: int
    source: str
    page: int | None
    heading: str
    quote: str = Field(description="Stands in the document word for word, from `start` to `end`.")
    score: float
    document_id: int
    start: int
    end: int


class Passage(BaseModel):
    source: str
    page: int | None
    heading: str
    text: str
    score: float
    start: int
    end: int


class AskResponse(BaseModel):
    model_config = _example(ANSWER)

    id: str = Field(description="Names this answer in `/v1/feedback`.")
    conversation_id: str
    answer: str
    abstained: bool
    citations: list[Citation]
    question: str = Field(description="As it was understood, with the conversation.")
    model: str
    prompt_version: str
    usage: dict[str, int]
    timings: dict[str, float] = Field(description="In seconds.")
    passages: list[Passage] = Field(description="The chunks that were retrieved, best first.")
    notices: list[str]


class FeedbackRequest(BaseModel):
    model_config = _example({"id": ANSWER["id"], "rating": "up", "comment": "Just what I needed."})

    id: CleanText = Field(description="The `id` of an answer.")
    rating: Rating
    comment: CleanText = Field("", max_length=2000)


class CollectionRequest(BaseModel):
    model_config = _example(
        {"name": "notes"},
        {"name": "alice/notes", "readers": ["alice", "bob"], "writers": ["alice"]},
    )

    name: Name
    readers: Keys = ["*"]
    writers: Keys = ["*"]


class DocumentInfo(BaseModel):
    source: str
    title: str
    type: str
    chunks: int
    added: str


class Refused(BaseModel):
    path: str
    reason: str


class UploadSummary(BaseModel):
    added: int
    updated: int
    unchanged: int
    removed: int
    failed: list[Refused]
    skipped: list[Refused]
    chunks: int
    seconds: float


class Conversation(BaseModel):
    id: str
    collection: str
    title: str
    created: str


class Turn(BaseModel):
    id: str
    question: str
    answer: dict[str, Any] = Field(description="As `/v1/ask` gave it.")
    rating: Rating | None
    comment: str


class Deleted(BaseModel):
    deleted: str
