"""The load generator against a small server that answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from benchmarks.load import measure, run
from seedbed.testing.launch import closed_port


class Server:
    """Answers `max_tokens` tokens; `answer` may replace the response to a request."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.running = self.most = 0
        self.together = 1  # holds every stream until this many run at the same time
        self.answer: Callable[[dict[str, Any]], web.Response | None] = lambda _: None

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(request.headers)
        if (answer := self.answer(body)) is not None:
            return answer
        count, words = body["max_tokens"], len(body["messages"][0]["content"].split())
        usage = {"prompt_tokens": words + 20, "completion_tokens": count}
        if not body["stream"]:
            return web.json_response({"choices": [], "usage": usage})
        self.running += 1
        self.most = max(self.most, self.running)
        async with asyncio.timeout(30):
            while self.most < self.together:
                await asyncio.sleep(0.001)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        deltas = [{"role": "assistant", "content": ""}, *[{"content": "w"}] * count]
        events = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        for event in [*events, {"choices": [], "usage": usage}]:
            await response.write(f"data: {json.dumps(event)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        self.running -= 1
        return response


@contextlib.asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_closed_loop_counts_tokens_and_times() -> None:
    server = Server()
    server.together = 4
    async with serving(server) as url:
        result = await measure(url, concurrency=(4,), output_tokens=8, prompt_tokens=50, key="k")
    texts = [body["messages"][0]["content"] for body in server.bodies if body["stream"]]
    assert len(texts) == len(set(texts)) == 16
    assert all(headers["authorization"] == "Bearer k" for headers in server.headers)
    (level,) = result["levels"]
    assert (level["concurrency"], level["requests"], level["ok"]) == (4, 16, 16)
    assert level["output_tokens"] == 128
    assert level["prompt_tokens"] == 50  # words are counted by what the server reports
    assert server.most == 4
    assert 0 < level["first_token"]["p50"] <= level["latency"]["p50"] <= level["latency"]["p99"]
    assert json.loads(json.dumps(result)) == result


async def test_refused_requests_count_apart_from_errors() -> None:
    server, kinds = Server(), iter(["429", "500", "fine", "html"] * 3)

    def answer(body: dict[str, Any]) -> web.Response | None:
        kind = next(kinds) if body["max_tokens"] == 7 else "fine"
        if kind == "html":
            return web.Response(text="<p>hello")
        return None if kind == "fine" else web.json_response({"error": {}}, status=int(kind))

    server.answer = answer
    async with serving(server) as url:
        result = await measure(url, concurrency=(1,), requests=12, output_tokens=7)
    (level,) = result["levels"]
    assert (level["ok"], level["refused"]) == (3, 3)
    assert level["errors"] == {"500": 3, "incomplete stream": 3}
    assert level["output_tokens"] == 21  # of answered requests only


async def test_open_loop_sends_at_its_rate() -> None:
    async with serving(Server()) as url:
        result = await measure(
            url, rate=100, seconds=0.5, fixed=True, exact=False, stream=False, output_tokens=2
        )
    (level,) = result["levels"]
    assert (level["rate"], level["requests"], level["ok"]) == (100, 50, 50)
    assert level["wall_seconds"] >= 0.48
    assert level["output_tokens"] == 100


def test_server_that_cannot_be_reached_ends_the_benchmark() -> None:
    with closed_port() as port, pytest.raises(SystemExit, match="ClientConnectorError"):
        run(f"http://127.0.0.1:{port}")
