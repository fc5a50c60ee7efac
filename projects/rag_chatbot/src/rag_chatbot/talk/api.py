"""The HTTP API: questions, searches, documents, collections, conversations, feedback under `/v1`.

    app = create_app(open_chatbot(config, settings))
    service.serve(app, port=8001)               # what `rag-chatbot serve` runs

Routes only; the work is done in `chatbot.py`. `POST /v1/ask` responds with JSON or, if `stream` is
true, with server-sent events: `token` for each piece of text, then `answer`, or `error`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Query, UploadFile
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool

from rag_chatbot import __version__
from rag_chatbot.chatbot import Chatbot, Question
from rag_chatbot.store.database import WRITE_SECONDS
from rag_chatbot.talk import openai_api
from rag_chatbot.talk.document_page import document_page, missing_page
from rag_chatbot.talk.schemas import (
    ERRORS,
    STREAM,
    TAKEN,
    AskRequest,
    AskResponse,
    CollectionRequest,
    ConversationInfo,
    Deleted,
    DocumentInfo,
    FeedbackRequest,
    Name,
    SearchRequest,
    SearchResponse,
    Source,
    TurnInfo,
    UploadSummary,
)
from seedbed.errors import Busy, NotFound, SeedbedError, public_message
from seedbed.observe.startup import request_id
from seedbed.server import service
from seedbed.server.service import Caller, CleanText
from seedbed.server.streaming import EventStream, event, in_thread
from seedbed.settings import Settings

log = logging.getLogger(__name__)
AnswerJson = dict[str, Any]
UPLOADS = 4  # at a time; documents are stored one after the other anyway
MAX_OFFSET = 10**9  # SQLite has no larger integers than 2**63 - 1
FORM_MB = 1  # megabytes allowed for the multipart form around the uploaded files


def create_app(chatbot: Chatbot, settings: Settings | None = None) -> FastAPI:
    """The FastAPI application of a chatbot, with the web page and its tools for MCP.

    Its shutdown closes the chatbot.
    """
    from rag_chatbot.talk import mcp_server
    from rag_chatbot.talk.page import build_page
    from seedbed.server import html, ui

    mcp = mcp_server.create_server(chatbot)
    app = service.create_app(
        "rag_chatbot",
        version=__version__,
        ready=chatbot.check,
        settings=settings,
        max_body_mb=chatbot.config.max_file_mb + FORM_MB,
        cors_origins=chatbot.config.cors_origins.split(","),
        untraced=[mcp_server.PATH],  # its calls make spans, in the trace that their `_meta` names
        lifespan=lambda _: mcp.session_manager.run(),
        on_shutdown=chatbot.close,
    )
    app.include_router(routes(chatbot))
    mcp_server.add_to(app, mcp)
    ui.mount(app, build_page(chatbot), path="/", extra_css=html.styles("rag_chatbot.talk"))
    return app


def routes(chatbot: Chatbot) -> APIRouter:
    """All routes under `/v1`, bound to one chatbot."""
    router = APIRouter(prefix="/v1", responses=ERRORS)
    _add_ask(router, chatbot)
    router.include_router(openai_api.routes(chatbot))
    _add_documents(router, chatbot)
    _add_collections(router, chatbot)
    _add_conversations(router, chatbot)
    return router


def _add_ask(router: APIRouter, chatbot: Chatbot) -> None:
    @router.post("/ask", response_model=AskResponse, responses=STREAM)
    def ask(request: AskRequest, caller: Caller) -> Any:
        """Answer a question from the documents of a collection, with verified citations.

        With `conversation_id` the question is read as a follow-up. If the documents don't contain
        the answer, `abstained` is true and `passages` are the nearest ones.
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
        first = next(events)  # an invalid question raises here, before the status line is sent
        # When the client disconnects, closing the generator stops a model that is still writing.
        close = partial(run_in_threadpool, events.close)
        return EventStream(in_thread(answer_events(first, events)), close)

    @router.post("/search", response_model=SearchResponse)
    def search(request: SearchRequest, caller: Caller) -> Any:
        """Find the passages of a collection that are nearest to a query, best first."""
        passages = chatbot.search(
            request.query, collection=request.collection, caller=caller, k=request.k
        )
        return {"passages": passages}


def _add_documents(router: APIRouter, chatbot: Chatbot) -> None:
    @router.get("/documents", response_model=list[DocumentInfo])
    def list_documents(caller: Caller, collection: Name = "default") -> Any:
        """List the documents of a collection, sorted by source."""
        return chatbot.documents(collection, caller)

    uploads = asyncio.Semaphore(UPLOADS)

    @router.post("/documents", response_model=UploadSummary)
    async def add_documents(
        caller: Caller,
        files: list[UploadFile],
        collection: Annotated[CleanText, Form(examples=["default"])] = "default",
    ) -> Any:
        """Add uploaded files to a collection. An earlier upload with the same name is replaced.

        A file that cannot be read is listed under `failed` with the reason; the others are added.
        """

        def upload() -> Any:
            contents = [(file.filename or "unnamed", file.file.read()) for file in files]
            return chatbot.upload(contents, collection, caller)

        try:  # without a thread: other requests need those
            async with asyncio.timeout(WRITE_SECONDS):
                await uploads.acquire()
        except TimeoutError:
            message = "Too many uploads are waiting."
            raise Busy(message, hint="Try again in a moment.", retry_after=5) from None
        try:
            return await run_in_threadpool(upload)
        finally:
            uploads.release()

    @router.delete("/documents", response_model=Deleted)
    def delete_document(caller: Caller, source: Source, collection: Name = "default") -> Any:
        """Delete one document with its chunks and vectors."""
        chatbot.delete_document(collection, source, caller)
        return {"deleted": source}

    @router.get("/documents/view", response_class=HTMLResponse)
    def view_document(
        caller: Caller,
        source: Source,
        collection: Name = "default",
        start: Annotated[int, Query(ge=0, description="First marked character.")] = 0,
        end: Annotated[int, Query(ge=0, description="Character after the marked ones.")] = 0,
    ) -> HTMLResponse:
        """Show a document as a static page for reading, with the text from `start` to `end` marked.

        If it does not exist, the response is a page with the reason, with status 404.
        """
        try:
            document = chatbot.document(collection, source, caller)
        except NotFound:
            return missing_page(source)
        return document_page(document, start, end)


def _add_collections(router: APIRouter, chatbot: Chatbot) -> None:
    @router.get("/collections")
    def list_collections(caller: Caller) -> list[str]:
        """List the collections that the caller may read."""
        return chatbot.collections(caller)

    @router.post("/collections", status_code=201, responses=TAKEN)
    def create_collection(request: CollectionRequest, caller: Caller) -> dict[str, str]:
        """Create a collection. Names of private ones begin with the key's name: `alice/notes`."""
        chatbot.create_collection(request.name, request.readers, request.writers, caller)
        return {"name": request.name}

    @router.delete("/collections/{name:path}", response_model=Deleted)
    def delete_collection(name: CleanText, caller: Caller) -> Any:
        """Delete a collection with all its documents."""
        chatbot.delete_collection(name, caller)
        return {"deleted": name}


def _add_conversations(router: APIRouter, chatbot: Chatbot) -> None:
    @router.get("/conversations", response_model=list[ConversationInfo])
    def list_conversations(
        caller: Caller,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        offset: Annotated[int, Query(ge=0, le=MAX_OFFSET, description="How many to skip.")] = 0,
    ) -> Any:
        """List the caller's conversations, the last updated first."""
        return [vars(item) for item in chatbot.conversations.list(caller, limit, offset)]

    @router.get("/conversations/{identifier}", response_model=list[TurnInfo])
    def get_conversation(identifier: CleanText, caller: Caller) -> Any:
        """List the questions and answers of one conversation, oldest first."""
        return [vars(turn) for turn in chatbot.conversations.turns(identifier, caller)]

    @router.delete("/conversations/{identifier}", response_model=Deleted)
    def delete_conversation(identifier: CleanText, caller: Caller) -> Any:
        """Delete one conversation, including the feedback on its answers."""
        chatbot.conversations.delete(identifier, caller)
        return {"deleted": identifier}

    @router.post("/feedback")
    def give_feedback(request: FeedbackRequest, caller: Caller) -> dict[str, str]:
        """Rate an answer. A second rating replaces the first."""
        chatbot.conversations.rate(request.id, caller, request.rating, request.comment)
        return {"id": request.id, "rating": request.rating}


def answer_events(first: str | AnswerJson, events: Iterator[str | AnswerJson]) -> Iterator[bytes]:
    """An answer as server-sent events.

    The status line is already sent when an error occurs, so the error becomes an event too.
    """
    try:
        yield _event(first)
        for item in events:
            yield _event(item)
    except Exception as error:
        kind = error.type if isinstance(error, SeedbedError) else "internal_error"
        body = {"type": kind, "message": public_message(error, log)}
        yield event("error", {"error": body | {"request_id": request_id.get()}})


def _event(item: str | AnswerJson) -> bytes:
    return event("token", {"text": item}) if isinstance(item, str) else event("answer", item)
