"""The HTTP API: questions, searches, documents, collections, conversations, feedback under `/v1`.

    app = create_app(open_chatbot(config, settings))
    service.serve(app, port=8001)               # what `rag-chatbot serve` runs

Routes only; the work is done in `chatbot.py`. `POST /v1/ask` responds with JSON or, if `stream` is
true, with server-sent events: `token` for each piece of text, then `answer`, or `error`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Form, Query, Request, UploadFile
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.middleware.cors import CORSMiddleware

from rag_chatbot import __version__
from rag_chatbot.answer.answer import Citation
from rag_chatbot.chatbot import Chatbot, Question
from rag_chatbot.conversation import Conversation, Rating, Turn
from rag_chatbot.ingest import Summary
from rag_chatbot.talk import openai_api
from rag_chatbot.talk.document_page import document_page
from rag_chatbot.talk.streams import Bot, Item, event, event_stream, last_item
from seedbed.server import service
from seedbed.server.service import CleanText, CurrentCaller, ErrorResponse
from seedbed.settings import Settings

FORM_MB = 1  # megabytes allowed for the multipart form around the uploaded files
Json = dict[str, Any]
router = APIRouter()

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


class Body(BaseModel):
    # A field that does not exist is refused: a misspelled `collection` would search another one.
    model_config = ConfigDict(extra="forbid")


class AskRequest(Body):
    question: CleanText = Field(
        description="At most 4,000 characters.", examples=["What is hybrid search?"]
    )
    collection: Name | None = Field(None, description="Default: the conversation's, or `default`.")
    conversation_id: CleanText | None = Field(
        None, description="Conversation to continue. Default: start a new one."
    )
    stream: bool = Field(False, description="Return the answer as server-sent events.")


class AskResponse(BaseModel):
    id: str = Field(description="Identifies this answer in `/v1/feedback`.")
    conversation_id: str
    answer: str
    abstained: bool = Field(description="True if the documents don't contain the answer.")
    citations: list[Citation] = Field(description="`quote` is `text[start:end]` of the document.")
    question: str = Field(description="The question that was searched for.")
    model: str
    prompt_version: str = Field(description="`quote` if no language model was called.")
    usage: dict[str, int | float | None] = Field(
        description="Tokens of all calls of the model and their list price; null where unknown."
    )
    timings: dict[str, float] = Field(description="Seconds of each step, and in total.")
    passages: list[Json] = Field(description="The retrieved chunks, best first.")
    notices: list[str] = Field(description="What was left out of the answer, and why.")


class SearchRequest(Body):
    query: CleanText = Field(description="At most 4,000 characters.", examples=["hybrid search"])
    collection: Name = "default"
    k: int | None = Field(None, ge=1, le=50, description="Number of passages. Default: `RAG_K`.")


class FeedbackRequest(Body):
    id: CleanText = Field(description="The `id` of the answer.")
    rating: Rating


class CollectionRequest(Body):
    name: Name
    readers: Keys = []
    writers: Keys = []


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
        ready=chatbot.check_ready,
        settings=settings,
        max_body_mb=chatbot.config.max_file_mb + FORM_MB,
        lifespan=lambda _: mcp.session_manager.run(),
        on_shutdown=chatbot.close,
    )
    app.state.chatbot = chatbot
    app.state.untraced.add(mcp_server.PATH)  # its calls make spans, in the trace of their `_meta`
    origins = [origin.strip().rstrip("/") for origin in chatbot.config.cors_origins.split(",")]
    app.state.access.origins = list(filter(None, origins))
    if app.state.access.origins:
        # Outermost, as a preflight request has no key. Browsers send no stored credentials along.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=app.state.access.origins,
            allow_methods=["*"],
            allow_headers=["authorization", "content-type"],
        )
    for routes in (router, openai_api.router):
        app.include_router(routes, prefix="/v1", responses=ERRORS)
    mcp_server.add_to(app, mcp)
    ui.mount(app, build_page(chatbot), path="/", extra_css=html.styles("rag_chatbot.talk"))
    return app


@router.post("/ask", response_model=AskResponse, responses=STREAM)
async def ask(request: AskRequest, caller: CurrentCaller, chatbot: Bot, http: Request) -> Any:
    """Answer a question from the documents of a collection, with verified citations.

    With `conversation_id` the question is read as a follow-up. If the documents don't contain the
    answer, `abstained` is true and `passages` are the nearest ones.
    """
    options = request.model_dump(exclude={"question", "stream"})
    events = chatbot.stream(Question(request.question, **options), caller=caller)
    if not request.stream:
        return await last_item(http, events)
    return await event_stream(http, events, answer_events)


@router.post("/search")
def search(request: SearchRequest, caller: CurrentCaller, chatbot: Bot) -> dict[str, list[Json]]:
    """Find the passages of a collection that are nearest to a query, best first."""
    where = request.collection
    return {"passages": chatbot.search(request.query, collection=where, caller=caller, k=request.k)}


@router.get("/documents")
def list_documents(caller: CurrentCaller, chatbot: Bot, collection: Name = "default") -> list[Json]:
    """List the documents of a collection, sorted by source."""
    return chatbot.documents(collection, caller)


@router.post("/documents")
def add_documents(
    caller: CurrentCaller,
    chatbot: Bot,
    files: list[UploadFile],
    collection: Annotated[CleanText, Form(examples=["default"])] = "default",
) -> Summary:
    """Add uploaded files to a collection. An earlier upload with the same name is replaced.

    A file that cannot be read is listed under `failed` with the reason; the others are added.
    """
    contents = [(file.filename or "unnamed", file.file.read()) for file in files]
    return chatbot.upload(contents, collection, caller)


@router.delete("/documents")
def delete_document(
    caller: CurrentCaller, chatbot: Bot, source: Source, collection: Name = "default"
) -> dict[str, str]:
    """Delete one document with its chunks and vectors, and its text in conversations."""
    chatbot.delete_document(collection, source, caller)
    return {"deleted": source}


@router.get("/documents/view", response_class=HTMLResponse)
def view_document(
    caller: CurrentCaller,
    chatbot: Bot,
    source: Source,
    collection: Name = "default",
    start: Annotated[int, Query(ge=0, description="First marked character.")] = 0,
    end: Annotated[int, Query(ge=0, description="Character after the marked ones.")] = 0,
) -> HTMLResponse:
    """Show a document as a static page for reading, with the text from `start` to `end` marked."""
    return document_page(chatbot.document(collection, source, caller), start, end)


@router.get("/collections")
def list_collections(caller: CurrentCaller, chatbot: Bot) -> list[str]:
    """List the collections that the caller may read."""
    return chatbot.collections(caller)


@router.post("/collections", status_code=201)
def create_collection(
    request: CollectionRequest, caller: CurrentCaller, chatbot: Bot
) -> dict[str, str]:
    """Create a collection that only the caller may use, unless it names other keys.

    With API keys, its name begins with the key's name: `alice/notes`.
    """
    chatbot.create_collection(request.name, request.readers, request.writers, caller)
    return {"name": request.name}


@router.delete("/collections/{name:path}")
def delete_collection(name: CleanText, caller: CurrentCaller, chatbot: Bot) -> dict[str, str]:
    """Delete a collection with all its documents."""
    chatbot.delete_collection(name, caller)
    return {"deleted": name}


@router.get("/conversations")
def list_conversations(
    caller: CurrentCaller, chatbot: Bot, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> list[Conversation]:
    """List the caller's conversations, the last updated first."""
    return chatbot.list_conversations(caller, limit)


@router.get("/conversations/{identifier}")
def get_conversation(identifier: CleanText, caller: CurrentCaller, chatbot: Bot) -> list[Turn]:
    """List the questions and answers of one conversation, oldest first, without passages."""
    return chatbot.conversation(identifier, caller)[1]


@router.delete("/conversations/{identifier}")
def delete_conversation(
    identifier: CleanText, caller: CurrentCaller, chatbot: Bot
) -> dict[str, str]:
    """Delete one conversation, including the ratings of its answers."""
    chatbot.conversations.delete(identifier, caller.name)
    return {"deleted": identifier}


@router.post("/feedback")
def give_feedback(request: FeedbackRequest, caller: CurrentCaller, chatbot: Bot) -> dict[str, str]:
    """Rate an answer. A second rating replaces the first."""
    chatbot.conversations.rate(request.id, caller.name, request.rating)
    return {"id": request.id, "rating": request.rating}


def answer_events(items: Iterator[Item]) -> Iterator[bytes]:
    """An answer as server-sent events."""
    for item in items:
        if isinstance(item, str):
            yield event({"text": item}, "token") if item else b""
        else:
            yield event(item, "answer")
