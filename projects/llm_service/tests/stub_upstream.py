"""A small upstream that speaks OpenAI's protocol and says a fixed text: for tests, for measuring
what the service adds, and to play with. It knows no model.

    python tests/stub_upstream.py --port 9101 --tokens 20 --between 0.05
    python tests/stub_upstream.py --port 9101 --fault 500

`--fault` makes it misbehave as upstreams do: hang (no answer), reset (the connection, midway),
500 and 429 (with Retry-After), malformed (no JSON), slow_bytes (a byte each 50 ms), truncate (ends
midway), html (a page in place of an answer). A request may choose with the header `x-stub-fault`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from llm_service.request import several

if TYPE_CHECKING:
    from aiohttp import web

FAULTS = ("hang", "reset", "500", "429", "malformed", "slow_bytes", "truncate", "html")
WORDS = ("The", " stub", " says", " the", " same", " few", " words", " again", " and", " again.")
_JSON = {"Content-Type": "application/json"}
_SSE = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


@dataclass
class Stub:
    """What the stub says and what it saw. `seen` keeps the last bodies if `keep` is set."""

    tokens: int = 20
    first_token: float = 0.0
    between: float = 0.0
    fault: str = ""
    model: str = "stub"
    keep: bool = False
    requests: int = 0
    finished: int = 0  # answers sent whole
    open: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    _made: dict[tuple[Any, ...], list[bytes]] = field(default_factory=dict, repr=False)

    def app(self) -> web.Application:
        from aiohttp import web

        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", self._handler(_chat, _chat_chunks))
        app.router.add_post("/v1/messages", self._handler(_message, _message_events))
        app.router.add_post("/v1/embeddings", self._handler(_embeddings, None))
        app.router.add_get("/v1/models", self._models)
        return app

    def _handler(self, whole: Whole, chunks: Chunks | None) -> Callable[..., Any]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = json.loads(await request.read())
            self.requests += 1
            self.open += 1
            if self.keep:
                self.seen.append(body)
            try:
                response = await self._answer(request, body, whole, chunks)
                self.finished += 1
                return response
            finally:
                self.open -= 1

        return handle

    async def _answer(
        self, request: web.Request, body: dict[str, Any], whole: Whole, chunks: Chunks | None
    ) -> web.StreamResponse:
        from aiohttp import web

        fault = request.headers.get("x-stub-fault", self.fault)
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "html":
            return web.Response(text="<html>Welcome</html>", content_type="text/html")
        if fault in ("500", "429"):
            wait = {"Retry-After": "1"} if fault == "429" else {}
            error = json.dumps({"error": {"message": f"stub fault {fault}", "type": "stub"}})
            return web.Response(text=error, status=int(fault), headers=_JSON | wait)
        streamed = bool(body.get("stream")) and chunks is not None
        parts = self._said(body, whole, chunks if streamed else None)
        if streamed and (fault or self.first_token or self.between):
            return await self._stream(request, parts, fault)
        if not streamed and (self.first_token or self.between):
            count = self._count(body)
            await asyncio.sleep(self.first_token + self.between * (count - 1))
        data = b"".join(parts)
        if fault in ("reset", "truncate", "slow_bytes"):
            return await self._stream(request, [data[: len(data) // 2], data], fault, _JSON)
        if fault == "malformed":
            data = data[:-20]
        return web.Response(body=data, headers=_SSE if streamed else _JSON)

    def _count(self, body: dict[str, Any]) -> int:
        most = body.get("max_completion_tokens") or body.get("max_tokens") or self.tokens
        return min(self.tokens, most)

    def _said(self, body: dict[str, Any], whole: Whole, chunks: Chunks | None) -> list[bytes]:
        """The answer's bytes, made once for all requests that get the same: a stub that is to
        measure others must not be what takes the time.
        """
        count = self._count(body)
        prompt = len(str(body.get("messages") or body.get("prompt") or body.get("input"))) // 4
        fields = ("model", "n", "stream_options", "tool_choice")
        key = (whole, chunks, count, prompt, *(str(body.get(field)) for field in fields))
        if key in self._made:
            return self._made[key]
        words = list(islice(cycle(WORDS), count))
        reason = "stop" if count == self.tokens else "length"
        if chunks is not None:
            parts = chunks(body, words, reason)
        else:
            parts = [json.dumps(whole(body, words, reason)).encode()]
        if whole is not _embeddings and len(self._made) < 1000:
            self._made[key] = parts
        return parts

    async def _stream(
        self, request: web.Request, parts: list[bytes], fault: str, headers: dict[str, str] = _SSE
    ) -> web.StreamResponse:
        from aiohttp import web

        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await asyncio.sleep(self.first_token)
        for place, part in enumerate(parts):
            if fault and place == len(parts) // 2:
                if fault == "reset" and request.transport is not None:
                    request.transport.abort()
                if fault in ("reset", "truncate"):
                    return response
                if fault == "malformed":
                    part = b'data: {"choices": [{"del\n\n'
            async for piece in _pieces(part, fault):
                await response.write(piece)
            if self.between:
                await asyncio.sleep(self.between)
        return response

    async def _models(self, _: web.Request) -> web.Response:
        from aiohttp import web

        model = {"id": self.model, "object": "model", "owned_by": "stub"}
        return web.json_response({"object": "list", "data": [model]})


Whole = Callable[[dict[str, Any], list[str], str], dict[str, Any]]
Chunks = Callable[[dict[str, Any], list[str], str], list[bytes]]


async def _pieces(part: bytes, fault: str) -> AsyncIterator[bytes]:
    if fault != "slow_bytes":
        yield part
        return
    for place in range(len(part)):
        await asyncio.sleep(0.05)
        yield part[place : place + 1]


def _usage(body: dict[str, Any], words: list[str]) -> dict[str, Any]:
    read = max(1, len(str(body.get("messages") or body.get("prompt"))) // 4)
    return {
        "prompt_tokens": read,
        "completion_tokens": len(words),
        "total_tokens": read + len(words),
    }


def _chat(body: dict[str, Any], words: list[str], reason: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(words)}
    choices = [
        {"index": index, "message": message, "finish_reason": reason}
        for index in range(body.get("n") or 1)
    ]
    return {
        "id": "chatcmpl-stub",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": choices,
        "usage": _usage(body, words),
    }


def _events(
    body: dict[str, Any],
    words: list[str],
    reason: str,
    said: Callable[[str], dict[str, Any]],
    end: dict[str, Any],
) -> list[bytes]:
    """The chunks of a stream; every choice says the same words."""
    head = {"id": "chatcmpl-stub", "object": "chunk", "created": 0, "model": body["model"]}
    indices = range(body.get("n") or 1)
    choices = [{"index": i, **said(word)} for word in words for i in indices]
    choices += [{"index": i, **end, "finish_reason": reason} for i in indices]
    parts = [_data({**head, "choices": [choice]}) for choice in choices]
    if (body.get("stream_options") or {}).get("include_usage"):
        parts.append(_data({**head, "choices": [], "usage": _usage(body, words)}))
    return [*parts, b"data: [DONE]\n\n"]


def _chat_chunks(body: dict[str, Any], words: list[str], reason: str) -> list[bytes]:
    return _events(
        body,
        words,
        reason,
        lambda word: {"delta": {"role": "assistant", "content": word}, "finish_reason": None},
        {"delta": {}},
    )


def _data(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _message(body: dict[str, Any], words: list[str], reason: str) -> dict[str, Any]:
    """An answer of Anthropic's messages API; it calls the tool that it is told to call."""
    usage = {"input_tokens": _usage(body, [])["prompt_tokens"], "output_tokens": len(words)}
    content: dict[str, Any] = {"type": "text", "text": "".join(words)}
    stop = "end_turn" if reason == "stop" else "max_tokens"
    if (body.get("tool_choice") or {}).get("type") == "tool":
        name = body["tool_choice"]["name"]
        content = {"type": "tool_use", "id": "toolu_stub", "name": name, "input": {"city": "Bern"}}
        stop = "tool_use"
    return {
        "id": "msg_stub",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [content],
        "stop_reason": stop,
        "usage": usage,
    }


def _message_events(body: dict[str, Any], words: list[str], reason: str) -> list[bytes]:
    whole = _message(body, words, reason)
    content, usage = whole.pop("content")[0], whole["usage"]
    start = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    if content["type"] == "tool_use":
        text = json.dumps(content["input"])
        block = {**content, "input": {}}
        deltas = [
            {"type": "input_json_delta", "partial_json": part} for part in (text[:5], text[5:])
        ]
    else:
        block = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word} for word in words]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"]},
            "usage": {"output_tokens": usage["output_tokens"]},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\n".encode() + _data(event) for event in events]


def _embeddings(body: dict[str, Any], _words: list[str], _reason: str) -> dict[str, Any]:
    """A vector of 8 numbers that depends on nothing but the text."""
    given = body["input"]
    texts = several(given)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": [byte / 255 for byte in sha256(str(text).encode()).digest()[:8]],
        }
        for index, text in enumerate(texts)
    ]
    read = sum(max(1, len(str(text)) // 4) for text in texts)
    usage = {"prompt_tokens": read, "total_tokens": read}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}


def main() -> None:
    from aiohttp import web

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9101)
    parser.add_argument("--tokens", type=int, default=20, help="tokens per answer")
    parser.add_argument(
        "--first-token", type=float, default=0.0, help="seconds until the first token"
    )
    parser.add_argument("--between", type=float, default=0.0, help="seconds between two tokens")
    parser.add_argument("--fault", choices=FAULTS, default="", help="simulated fault")
    given = parser.parse_args()
    stub = Stub(given.tokens, given.first_token, given.between, given.fault)
    try:
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    except ImportError:
        loop = asyncio.new_event_loop()
    print(f"Running a stub upstream on http://{given.host}:{given.port}/v1", flush=True)
    web.run_app(
        stub.app(),
        host=given.host,
        port=given.port,
        access_log=None,
        print=None,
        loop=loop,
        handler_cancellation=True,
    )


if __name__ == "__main__":
    main()
