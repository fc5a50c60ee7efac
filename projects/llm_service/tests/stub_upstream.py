"""A small upstream that speaks OpenAI's protocol and says a fixed text, without a model; the
benchmarks run it as a program: `python tests/stub_upstream.py --port 9101 --tokens 20`.

A `fault` makes it misbehave as upstreams do: hang (no answer), 500 and 429 (with Retry-After),
html (a page in place of an answer), and two ways to end midway: truncate (properly) and reset.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import cycle, islice
from typing import Any

from aiohttp import web

from llm_service.request import several

WORDS = ("The", " stub", " says", " the", " same", " few", " words", " again", " and", " again.")


@dataclass
class Stub:
    """What the stub says, and how often it was asked."""

    tokens: int = 20
    first_token: float = 0.0
    between: float = 0.0
    fault: str = ""
    requests: int = 0
    open: int = 0

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        for path, say in (("chat/completions", _chat), ("embeddings", _embeddings)):
            app.router.add_post(f"/v1/{path}", partial(self._handle, say))
        app.router.add_get("/v1/models", self._models)
        return app

    async def _handle(self, say: Say, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.requests += 1
        self.open += 1
        try:
            return await self._answer(say, request, body)
        finally:
            self.open -= 1

    async def _answer(
        self, say: Say, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        if self.fault == "hang":
            await asyncio.sleep(3600)
        if self.fault == "html":
            return web.Response(text="<html>Welcome</html>", content_type="text/html")
        if self.fault in ("500", "429"):
            wait = {"Retry-After": "1"} if self.fault == "429" else {}
            error = {"error": {"message": f"stub fault {self.fault}", "type": "stub"}}
            return web.json_response(error, status=int(self.fault), headers=wait)
        most = body.get("max_completion_tokens") or body.get("max_tokens") or self.tokens
        words = list(islice(cycle(WORDS), min(self.tokens, most)))
        whole, parts = say(body, words, "stop" if len(words) == self.tokens else "length")
        kind = "text/event-stream"
        if not body.get("stream"):
            await asyncio.sleep(self.first_token + self.between * (len(words) - 1))
            data, kind = json.dumps(whole).encode(), "application/json"
            parts = [data[: len(data) // 2], data[len(data) // 2 :]]
        if not (self.fault or (body.get("stream") and (self.first_token or self.between))):
            return web.Response(body=b"".join(parts), content_type=kind)
        return await self._send(request, parts, kind)

    async def _send(
        self, request: web.Request, parts: list[bytes], kind: str
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": kind})
        await response.prepare(request)
        await asyncio.sleep(self.first_token)
        for place, part in enumerate(parts):
            if place == len(parts) // 2:
                if self.fault == "reset" and request.transport is not None:
                    request.transport.abort()
                if self.fault in ("reset", "truncate"):
                    return response
            await response.write(part)
            await asyncio.sleep(self.between)
        return response

    async def _models(self, _: web.Request) -> web.Response:
        model = {"id": "stub", "object": "model", "owned_by": "stub"}
        return web.json_response({"object": "list", "data": [model]})


# From a body, the words to say and why they end: the answer whole, and as events of a stream.
Say = Callable[[dict[str, Any], list[str], str], tuple[dict[str, Any], list[bytes]]]


def _chat(
    body: dict[str, Any], words: list[str], reason: str
) -> tuple[dict[str, Any], list[bytes]]:
    """Every choice says the same words."""
    read = max(1, len(str(body["messages"])) // 4)
    usage = {
        "prompt_tokens": read,
        "completion_tokens": len(words),
        "total_tokens": read + len(words),
    }
    head = {"id": "chatcmpl-stub", "created": 0, "model": body["model"]}
    indices = range(body.get("n") or 1)
    message = {"role": "assistant", "content": "".join(words)}
    choices = [{"index": i, "message": message, "finish_reason": reason} for i in indices]
    whole = {**head, "object": "chat.completion", "choices": choices, "usage": usage}

    def chunk(**fields: Any) -> bytes:
        return _data({**head, "object": "chat.completion.chunk", "choices": [], **fields})

    parts = [
        chunk(choices=[{"index": i, "delta": {"content": word}, "finish_reason": None}])
        for word in words
        for i in indices
    ]
    parts += [chunk(choices=[{"index": i, "delta": {}, "finish_reason": reason}]) for i in indices]
    if (body.get("stream_options") or {}).get("include_usage"):
        parts.append(chunk(usage=usage))
    return whole, [*parts, b"data: [DONE]\n\n"]


def _data(chunk: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _embeddings(
    body: dict[str, Any], _words: list[str], _reason: str
) -> tuple[dict[str, Any], list[bytes]]:
    """A vector of 8 numbers that depends on nothing but the text."""
    texts = [str(text) for text in several(body["input"])]
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": [byte / 255 for byte in sha256(text.encode()).digest()[:8]],
        }
        for index, text in enumerate(texts)
    ]
    read = sum(max(1, len(text) // 4) for text in texts)
    usage = {"prompt_tokens": read, "total_tokens": read}
    return {"object": "list", "data": data, "model": body["model"], "usage": usage}, []


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--port", type=int, default=9101)
    parser.add_argument("--tokens", type=int, default=20, help="tokens per answer")
    given = parser.parse_args()
    app, loop = Stub(given.tokens).app(), uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=given.port, access_log=None, print=None, loop=loop)


if __name__ == "__main__":
    main()
