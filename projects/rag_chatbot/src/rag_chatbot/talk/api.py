"""The HTTP API: questions, documents, collections, conversations and feedback under `/v1`.

Routes only: what they do is in `chatbot.py`. `POST /v1/ask` answers with JSON, or with server-sent
events (`token` … then `answer`, or `error`) when `stream` is true.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Generator, Iterator
from typing import Annotated, Any

from anyio import CancelScope
from fastapi import APIRouter, FastAPI, Form, Query, UploadFile
from fastapi.responses import HTMLResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from rag_chatbot import __version__
from rag_chatbot.chatbot import Chatbot, Question
from rag_chatbot.talk.document_page import document_page
from rag_chatbot.talk.schemas import (
    ERRORS,
    STREAM,
    AskRequest,
    AskResponse,
    CollectionRequest,
    Conversation,
    Deleted,
    DocumentInfo,
    FeedbackRequest,
    Name,
    Source,
    Turn,
    UploadSummary,
)
from seedbed.errors import SeedbedError
from seedbed.observe.startup import request_id
from seedbed.server import service
from seedbed.server.service import Caller, CleanText
from seedbed.settings import Settings

log = logging.getLogger(__name__)
Answer = dict[str, Any]
FORM_MB = 1  # what a form adds around the files in it


def create_app(chatbot: Chatbot, settings: Settings | None = None) -> FastAPI:
    """The FastAPI application of an open chatbot, page included."""
    from rag_chatbot.talk.page import build_page, styles
    from seedbed.server import ui

    app = service.create_app(
        "rag_chatbot",
        version=__version__,
        ready=chatbot.check,
        settings=settings,
        max_body_mb=chatbot.config.max_file_mb + FORM_MB,
        on_shutdown=chatbot.close,
    )
    app.include_router(routes(chatbot))
    ui.mount(app, build_page(chatbot), path="/", extra_css=styles())
    return app


def routes(chatbot: Chatbot) -> APIRouter:
    """Every route, bound to one chatbot."""
    router = APIRouter(prefix="/v1", responses=ERRORS)
    _add_asking(router, chatbot)
    _add_documents(router, chatbot)
    _add_collections(router, chatbot)
    _add_conversations(router, chatbot)
    return router


def _add_asking(router: APIRouter, chatbot: Chatbot) -> None:
    @router.post("/ask", response_model=AskResponse, responses=STREAM)
    def ask(request: AskRequest, caller: Caller) -> Any:
        """Answer a question from the documents of a collection, with citations that were checked.

        It continues a conversation if one is named. `abstained` is true where the documents do not
        tell; `passages` are then the nearest ones.
        """
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
        return EventStream(first, events)


def _add_documents(router: APIRouter, chatbot: Chatbot) -> None:
    @router.get("/documents", response_model=list[DocumentInfo])
    def list_documents(caller: Caller, collection: Name = "default") -> Any:
        """The documents of a collection, by source."""
        return chatbot.documents(collection, caller)

    @router.post("/documents", response_model=UploadSummary)
    def add_documents(
        caller: Caller,
        files: list[UploadFile],
        collection: Annotated[CleanText, Form(examples=["default"])] = "default",
    ) -> Any:
        """Read uploaded files into a collection; one of the same name is replaced.

        A file that cannot be read is listed under `failed` with the reason, and stops no other.
        """
        uploads = [(file.filename or "unnamed", file.file.read()) for file in files]
        return chatbot.upload(uploads, collection, caller)

    @router.delete("/documents", response_model=Deleted)
    def delete_document(caller: Caller, source: Source, collection: Name = "default") -> Any:
        """Forget one document: its text, its chunks and its vectors."""
        chatbot.delete_document(collection, source, caller)
        return {"deleted": source}

    @router.get("/documents/view", response_class=HTMLResponse)
    def view_document(
        caller: Caller,
        source: Source,
        collection: Name = "default",
        start: Annotated[int, Query(ge=0, description="In characters.")] = 0,
        end: Annotated[int, Query(ge=0, description="In characters.")] = 0,
    ) -> HTMLResponse:
        """A document's text as an inert page, with the characters from `start` to `end` marked."""
        text = chatbot.document_text(collection, source, caller)
        return document_page(source, text, start, end)


def _add_collections(router: APIRouter, chatbot: Chatbot) -> None:
    @router.get("/collections")
    def list_collections(caller: Caller) -> list[str]:
        """The collections that the caller may read."""
        return chatbot.collections(caller)

    @router.post("/collections", status_code=201)
    def create_collection(request: CollectionRequest, caller: Caller) -> dict[str, str]:
        """Make a collection. A key's collections begin with its name, as in `alice/notes`."""
        chatbot.create_collection(request.name, request.readers, request.writers, caller)
        return {"name": request.name}

    @router.delete("/collections/{name:path}", response_model=Deleted)
    def delete_collection(name: CleanText, caller: Caller) -> Any:
        """Delete a collection with all its documents."""
        chatbot.delete_collection(name, caller)
        return {"deleted": name}


def _add_conversations(router: APIRouter, chatbot: Chatbot) -> None:
    @router.get("/conversations", response_model=list[Conversation])
    def list_conversations(caller: Caller) -> Any:
        """The caller's conversations, newest first."""
        return [vars(conversation) for conversation in chatbot.conversations.list(caller)]

    @router.get("/conversations/{identifier}", response_model=list[Turn])
    def get_conversation(identifier: CleanText, caller: Caller) -> Any:
        """The turns of one conversation, oldest first."""
        return [vars(turn) for turn in chatbot.conversations.turns(identifier, caller)]

    @router.delete("/conversations/{identifier}", response_model=Deleted)
    def delete_conversation(identifier: CleanText, caller: Caller) -> Any:
        """Delete one conversation, with what was said about its answers."""
        chatbot.conversations.delete(identifier, caller)
        return {"deleted": identifier}

    @router.post("/feedback")
    def give_feedback(request: FeedbackRequest, caller: Caller) -> dict[str, str]:
        """Say whether an answer was good. Again replaces it."""
        chatbot.conversations.rate(request.id, caller, request.rating, request.comment)
        return {"id": request.id, "rating": request.rating}


class EventStream(StreamingResponse):
    """Server-sent events of an answer. A client that goes away stops what is being written."""

    def __init__(self, first: str | Answer, events: Generator[str | Answer]) -> None:
        super().__init__(sse(first, events), media_type="text/event-stream")
        self.events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # else it would run on until the garbage collector comes by
            with CancelScope(shield=True):
                await run_in_threadpool(self.events.close)


def sse(first: str | Answer, events: Iterator[str | Answer]) -> Iterator[str]:
    """The status line is long gone, so what goes wrong now is an event too."""
    try:
        yield _event(first)
        for event in events:
            yield _event(event)
    except Exception as error:
        known = isinstance(error, SeedbedError)
        if not known:
            log.exception("an answer broke off")
        message = str(error) if known else "Something failed on our side; it is logged."
        kind = error.type if isinstance(error, SeedbedError) else "internal_error"
        body = {"type": kind, "message": message, "request_id": request_id.get()}
        yield f"event: error\ndata: {json.dumps({'error': body})}\n\n"


def _event(event: str | Answer) -> str:
    kind, data = ("token", {"text": event}) if isinstance(event, str) else ("answer", event)
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
