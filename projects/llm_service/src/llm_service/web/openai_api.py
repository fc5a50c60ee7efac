"""The HTTP API: OpenAI's routes under `/v1`, feedback, and the app around them.

Routes only: what they do is in `gateway`, how bodies and answers look in `protocol`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from llm_service import __version__
from llm_service.gateway.call import Call
from llm_service.gateway.gateway import Gateway
from llm_service.models.table import no_model
from llm_service.protocol import chat_answer, embeddings
from llm_service.protocol.body import Body, new_id
from llm_service.protocol.chat import ChatRequest
from llm_service.protocol.embeddings import EmbeddingRequest
from llm_service.protocol.events import About, dumps, send
from llm_service.protocol.messages import answer as message_answer
from llm_service.protocol.messages.request import CountRequest, MessagesRequest
from llm_service.protocol.responses import answer as response_answer
from llm_service.protocol.responses.request import ResponsesRequest
from llm_service.request import Ask, estimate_tokens
from llm_service.store import feedback
from llm_service.store.feedback import Rating
from llm_service.store.keys import Key, KeyStore
from llm_service.web import admin_api
from llm_service.web.errors import ERRORS
from llm_service.web.live_gauges import LiveGauges
from seedbed.observe.logs_and_traces import request_id
from seedbed.server import service
from seedbed.server.service import CleanText, CurrentCaller
from seedbed.server.streaming import EventStream, until_disconnect

log = service.log
# Routes that generate text: the path, how the ids of answers begin, the body, and the module that
# makes the answer out of the events: `collect` the whole one, `Stream` the server-sent events.
GENERATING: tuple[tuple[str, str, type[Body], Any], ...] = (
    ("/chat/completions", "chatcmpl", ChatRequest, chat_answer),
    ("/messages", "msg", MessagesRequest, message_answer),
    ("/responses", "resp", ResponsesRequest, response_answer),
)


def create_app(gateway: Gateway, keys: KeyStore) -> FastAPI:
    """The FastAPI application of a gateway, which starts and ends with it."""

    gauges, registry = LiveGauges(gateway, keys), gateway.metrics.registry

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001
        await gateway.start()
        registry.register(gauges)
        watching = asyncio.create_task(keys.watch())
        yield
        watching.cancel()
        registry.unregister(gauges)
        await gateway.close()

    app = service.create_app(
        "llm_service",
        version=__version__,
        ready=gateway.check,
        settings=gateway.settings,
        max_body_mb=gateway.config.max_body_mb,
        lifespan=life,
    )
    app.add_middleware(message_answer.in_anthropics_form)
    app.state.keys = app.state.access.keys = keys
    app.state.drain.limit = gateway.config.max_requests
    app.include_router(routes(gateway))
    app.include_router(admin_api.routes(gateway, keys))
    return app


def _key_of(request: Request) -> Key:
    keys: KeyStore = request.app.state.keys
    return keys.of(service.caller_of(request))


async def _calling_key(request: Request, _: CurrentCaller) -> Key:
    return _key_of(request)


CallingKey = Annotated[Key, Depends(_calling_key)]
# For the busy routes: the same in the OpenAPI document, without FastAPI's way through three
# dependencies, which takes a tenth of a request.
SECURED: dict[str, Any] = {"security": [{"HTTPBearer": []}]}


class Feedback(BaseModel):
    """Feedback on an answer: a rating, a score, a comment, a correction, or several of these."""

    model_config = ConfigDict(extra="forbid")

    response_id: CleanText = Field(max_length=100, description="The `id` of the answer.")
    rating: Rating | None = None
    score: Annotated[float | None, Field(ge=-1e6, le=1e6, allow_inf_nan=False)] = None
    comment: Annotated[CleanText, Field(max_length=4000)] = ""
    correction: CleanText = Field(
        "",
        max_length=feedback.MAX_CORRECTION,
        description="The answer that would have been right.",
    )


def routes(gateway: Gateway) -> APIRouter:
    """Every route of OpenAI's protocol, bound to one gateway."""
    router = APIRouter(prefix="/v1", tags=["openai"], responses=ERRORS)
    for path, id_prefix, request, answer in GENERATING:
        _add_generating(router, gateway, path, id_prefix, request, answer)
    _add_rest(router, gateway)
    return router


def _add_generating(
    router: APIRouter, gateway: Gateway, path: str, id_prefix: str, request: type[Body], answer: Any
) -> None:
    async def generate(http: Request, body: Any) -> Response:
        key = _key_of(http)
        ask = body.ask(user=key.id, request_id=request_id.get())
        about = About(new_id(id_prefix), int(time.time()), "")
        cached = _cache_control(http.headers)
        if not ask.stream:
            return await until_disconnect(http, whole(body, ask, key, about, cached))
        call = await until_disconnect(http, gateway.answer(ask, key, about.response_id, **cached))
        about = about._replace(model=call.original.model)
        return EventStream(send(call, answer.Stream(about, body)), call.aclose, call.headers())

    async def whole(
        body: Any, ask: Ask, key: Key, about: About, cached: dict[str, bool]
    ) -> Response:
        call = await gateway.answer(ask, key, about.response_id, **cached)
        async with aclosing(call):
            about = about._replace(model=call.original.model)
            return _json(await answer.collect(call, about, body), call)

    generate.__annotations__["body"] = request
    generate.__doc__ = request.__doc__
    name = path.strip("/").replace("/", "_")
    router.post(path, response_model=None, openapi_extra=SECURED, name=name)(generate)


def _add_rest(router: APIRouter, gateway: Gateway) -> None:
    @router.post("/embeddings", response_model=None)
    async def create_embeddings(http: Request, body: EmbeddingRequest, key: CallingKey) -> Response:
        """Return an embedding for each input."""
        ask = body.ask(user=key.id, request_id=request_id.get())
        embedded, call = await until_disconnect(http, gateway.embed(ask, key, new_id("embd")))
        return _json(embeddings.collect(embedded, call.original, call.original.model), call)

    @router.post("/messages/count_tokens")
    async def count_tokens(body: CountRequest, _: CallingKey) -> dict[str, int]:
        """Anthropic's number of tokens of a prompt; an estimate, as any model may answer."""
        return {"input_tokens": estimate_tokens(body.ask())}

    @router.get("/models")
    def list_models(key: CallingKey) -> dict[str, Any]:
        """List the models and routes that this key can use."""
        return {"object": "list", "data": _served(gateway, key)}

    @router.get("/models/{name:path}")
    def get_model(name: str, key: CallingKey) -> dict[str, Any]:
        """Return one model or route."""
        for entry in _served(gateway, key):
            if entry["id"] == name:
                return entry
        raise no_model(name, hint="GET /v1/models lists the available models.")

    @router.post("/feedback")
    async def rate(body: Feedback, key: CallingKey) -> dict[str, str]:
        """Rate an answer by its id. A second rating replaces the first."""
        await asyncio.to_thread(
            feedback.add,
            gateway.database,
            body.response_id,
            body.rating,
            body.score,
            body.comment,
            body.correction,
            accounting=gateway.accounting,
            key_id=None if key.may("admin") else key.id,
        )
        gateway.metrics.feedback(body.rating or "score")
        return {"response_id": body.response_id}


def _served(gateway: Gateway, key: Key) -> list[dict[str, Any]]:
    table = gateway.table
    names = [name for name in table.names() if not key.models or name in key.models]
    same = {"object": "model", "created": gateway.started}
    owners = [table.models[table.resolve(name).targets[0].model].backend for name in names]
    return [
        {"id": name, "owned_by": owner, **same} for name, owner in zip(names, owners, strict=True)
    ]


def _cache_control(headers: Mapping[str, str]) -> dict[str, bool]:
    """`no-cache` generates a new answer and caches it; `no-store` bypasses the cache."""
    directives = headers.get("cache-control", "").lower()
    if "no-store" in directives:
        return {"store": False, "lookup": False}
    return {"lookup": "no-cache" not in directives}


def _json(body: Any, call: Call) -> Response:
    return Response(dumps(body), media_type="application/json", headers=call.headers(final=True))
