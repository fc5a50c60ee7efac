"""Request and response bodies of the HTTP API.

For example, `AskRequest(question="What is hybrid search?")` is the body of `POST /v1/ask`, and
`AskResponse` describes what comes back.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from rag_chatbot.answer.answer import Citation
from rag_chatbot.conversation import Rating
from seedbed.server.service import CleanText, ErrorResponse

Name = Annotated[CleanText, Field(min_length=1, max_length=200, examples=["default"])]
Source = Annotated[CleanText, Field(min_length=1, examples=["concepts/rag.md"])]
Keys = Annotated[
    list[CleanText],
    Field(description="Names of API keys beside the caller's own; `*` means every caller."),
]
ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorResponse, "description": "`error.type` names the reason"},
    "5XX": {"model": ErrorResponse, "description": "Unavailable; retry later"},
}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer. With `stream`: `token` events, then `answer` or `error`",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


class Request(BaseModel):
    # A field that does not exist is refused: a misspelled `collection` would search another one.
    model_config = ConfigDict(extra="forbid")


class AskRequest(Request):
    question: CleanText = Field(
        description="At most 4,000 characters.", examples=["What is hybrid search?"]
    )
    collection: Name = "default"
    conversation_id: CleanText | None = Field(
        None, description="Conversation to continue. Default: start a new one."
    )
    stream: bool = Field(False, description="Return the answer as server-sent events.")


class AskResponse(BaseModel):
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
    usage: dict[str, Any] = Field(
        description="Tokens of all calls of the model, `input_tokens` and `output_tokens`, and"
        " their list price, `cost_usd`; null where unknown."
    )
    timings: dict[str, float] = Field(description="Seconds from the start, by step.")
    passages: list[dict[str, Any]] = Field(
        description="The retrieved chunks, best first: source, page, heading, text, score, and"
        " start and end in the document."
    )
    notices: list[str] = Field(description="What was left out of the answer, and why.")


class SearchRequest(Request):
    query: CleanText = Field(description="At most 4,000 characters.", examples=["hybrid search"])
    collection: Name = "default"
    k: int | None = Field(None, ge=1, le=50, description="Number of passages. Default: `RAG_K`.")


class FeedbackRequest(Request):
    id: CleanText = Field(description="The `id` of the answer.")
    rating: Rating


class CollectionRequest(Request):
    name: Name
    readers: Keys = []
    writers: Keys = []
