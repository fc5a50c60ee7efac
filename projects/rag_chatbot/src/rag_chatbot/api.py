"""The HTTP API: questions, documents, collections, conversations and feedback under `/v1`.

Routes only: what they do is in `chatbot.py` and `ingest.py`. `POST /v1/ask` answers with JSON, or
with server-sent events (`token` … then `answer`, or `error`) when `stream` is true.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Form, UploadFile
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel, Field

from rag_chatbot import __version__
from rag_chatbot.chatbot import Chatbot, Question
from rag_chatbot.conversation import Rating
from rag_chatbot.view import document_page
from seedbed import service
from seedbed.errors import SeedbedError
from seedbed.service import Caller

Name = Annotated[str, Field(min_length=1, max_length=100)]


class AskRequest(BaseModel):
    question: Annotated[str, Field(examples=["What is an embedding?"])]
    collection: Name = "default"
    conversation_id: str | None = Field(None, description="Continues that conversation.")
    stream: bool = Field(False, description="Answer as server-sent events.")
    k: int | None = Field(None, ge=1, le=50, description="Chunks to answer from.")
    mode: Literal["auto", "quote", "write"] | None = None
    strictness: float | None = Field(None, ge=0, le=1, description="How sure to be to answer.")


class Citation(BaseModel):
    n: int
    source: str
    page: int | None
    heading: str
    quote: str
    score: float


class AskResponse(BaseModel, extra="allow"):
    id: str = Field(description="Names this answer in `/v1/feedback`.")
    conversation_id: str
    answer: str
    abstained: bool
    citations: list[Citation]
    question: str = Field(description="As it was understood, with the conversation.")
    model: str
    prompt_version: str
    usage: dict[str, Any]
    timings: dict[str, Any]
    notices: list[str]


class FeedbackRequest(BaseModel):
    id: str = Field(description="The `id` of an answer.")
    rating: Rating
    comment: str = Field("", max_length=2000)


class CollectionRequest(BaseModel):
    name: Name
    readers: list[str] = Field(["*"], description="Names of API keys; `*` is anyone.")
    writers: list[str] = Field(["*"], description="Names of API keys; `*` is anyone.")


def create_app(chatbot: Chatbot) -> FastAPI:
    """The FastAPI application of an open chatbot, page included."""
    from rag_chatbot.ui import build_page
    from seedbed import ui

    app = service.create_app(
        "rag_chatbot", version=__version__, ready=chatbot.check, on_shutdown=chatbot.close
    )
    app.include_router(routes(chatbot))
    ui.mount(app, build_page(chatbot), path="/")
    return app


def routes(chatbot: Chatbot) -> APIRouter:
    """Every route, bound to one chatbot."""
    router = APIRouter(prefix="/v1")

    @router.post("/ask", response_model=AskResponse)
    def ask(request: AskRequest, caller: Caller) -> Any:
        """Answer a question from the documents of a collection."""
        question = Question(
            request.question,
            request.collection,
            request.conversation_id,
            request.k,
            request.mode,
            request.strictness,
        )
        if not request.stream:
            return chatbot.ask(question, caller=caller)
        events = chatbot.stream(question, caller=caller)
        first = next(events)  # what is wrong with a question shows here, while a status can say it
        return StreamingResponse(sse(chain([first], events)), media_type="text/event-stream")

    @router.get("/documents")
    def list_documents(caller: Caller, collection: Name = "default") -> list[dict[str, Any]]:
        """The documents of a collection."""
        return chatbot.documents(collection, caller)

    @router.post("/documents")
    def add_documents(
        caller: Caller, files: list[UploadFile], collection: Annotated[str, Form()] = "default"
    ) -> dict[str, Any]:
        """Read uploaded files into a collection; one of the same name is replaced."""
        uploads = [(file.filename or "unnamed", file.file.read()) for file in files]
        return chatbot.upload(uploads, collection, caller)

    @router.delete("/documents")
    def delete_document(
        caller: Caller, source: str, collection: Name = "default"
    ) -> dict[str, Any]:
        """Forget one document."""
        chatbot.delete_document(collection, source, caller)
        return {"deleted": source}

    @router.get("/documents/view", response_class=HTMLResponse)
    def view_document(
        caller: Caller, source: str, collection: Name = "default", start: int = 0, end: int = 0
    ) -> HTMLResponse:
        """A document's text as an inert page, with the characters from `start` to `end` marked."""
        text = chatbot.document_text(collection, source, caller)
        return document_page(source, text, start, end)

    @router.get("/collections")
    def list_collections(caller: Caller) -> list[str]:
        """The collections that the caller may read."""
        return chatbot.collections(caller)

    @router.post("/collections", status_code=201)
    def create_collection(request: CollectionRequest, caller: Caller) -> dict[str, Any]:
        """Make a collection; by default anyone who may call the server reads and writes it."""
        chatbot.create_collection(request.name, request.readers, request.writers, caller)
        return {"name": request.name}

    @router.delete("/collections/{name}")
    def delete_collection(name: str, caller: Caller) -> dict[str, Any]:
        """Delete a collection with all its documents."""
        chatbot.delete_collection(name, caller)
        return {"deleted": name}

    @router.get("/conversations")
    def list_conversations(caller: Caller) -> list[dict[str, Any]]:
        """The caller's conversations, newest first."""
        return [vars(conversation) for conversation in chatbot.conversations.list(caller)]

    @router.get("/conversations/{identifier}")
    def get_conversation(identifier: str, caller: Caller) -> list[dict[str, Any]]:
        """The turns of one conversation, oldest first."""
        return [vars(turn) for turn in chatbot.conversations.turns(identifier, caller)]

    @router.delete("/conversations/{identifier}")
    def delete_conversation(identifier: str, caller: Caller) -> dict[str, Any]:
        """Delete one conversation."""
        chatbot.conversations.delete(identifier, caller)
        return {"deleted": identifier}

    @router.post("/feedback")
    def give_feedback(request: FeedbackRequest, caller: Caller) -> dict[str, Any]:
        """Say whether an answer was good."""
        chatbot.conversations.rate(request.id, caller, request.rating, request.comment)
        return {"id": request.id, "rating": request.rating}

    return router


def sse(events: Iterator[str | dict[str, Any]]) -> Iterator[str]:
    """Server-sent events of an answer; the status line is long gone, so errors are events too."""
    try:
        for event in events:
            kind, data = ("token", {"text": event}) if isinstance(event, str) else ("answer", event)
            yield f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
    except SeedbedError as error:
        data = {"error": {"type": error.type, "message": str(error)}}
        yield f"event: error\ndata: {json.dumps(data)}\n\n"
