"""The load generator against small servers that answer as different ones do, byte by byte too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from benchmarks.load.bench import measure, quantiles, run, summary, table
from benchmarks.load.http_client import Client
from benchmarks.load.http_parser import CutOff, ResponseParser
from benchmarks.load.traffic import Sample
from llm_service.models.remote.sse import EventParser
from seedbed.errors import (
    BadInput,
    DeadlineExceeded,
    Forbidden,
    NotFound,
    Unauthorized,
    Unavailable,
)
from seedbed.testing.launch import closed_port


class Server:
    """Answers `max_tokens` tokens; `refuse` names parameters that it answers with a 400."""

    def __init__(self) -> None:
        self.refuse: set[str] = set()
        self.usage = True
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.running = self.most = 0
        self.together = 1  # holds every answer until this many requests run at the same time
        self.answer: Callable[[dict[str, Any]], web.Response | None] = lambda _: None

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "tiny"}, {"id": "other"}]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        for name in self.refuse & set(body):
            return web.json_response(
                {"error": {"message": f"Unknown parameter {name}"}}, status=400
            )
        self.bodies.append(body)
        self.headers.append(request.headers)
        if (answer := self.answer(body)) is not None:
            return answer
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            async with asyncio.timeout(30):
                while self.most < self.together:
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.005)
            return await self._reply(request, body)
        finally:
            self.running -= 1

    async def _reply(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        count = body.get("max_tokens") or body["max_completion_tokens"]
        words = len(body["messages"][0]["content"].split())
        usage = {"prompt_tokens": words + 20, "completion_tokens": count}
        if not body["stream"]:
            message = {"role": "assistant", "content": "word " * count}
            choice = {"index": 0, "message": message, "finish_reason": "length"}
            return web.json_response({"choices": [choice], "usage": usage if self.usage else None})
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(_event({"role": "assistant", "content": ""}))
        for number in range(count):
            await response.write(_event({"content": f"w{number}"}))
        await response.write(_event({}, "length"))
        if self.usage and body.get("stream_options"):
            last = json.dumps({"choices": [], "usage": usage})
            await response.write(f"data: {last}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response


def _event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


@contextlib.asynccontextmanager
async def serving(server: Server) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/v1/models", server.models)
    app.router.add_post("/v1/chat/completions", server.chat)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def raw_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
) -> AsyncIterator[str]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = [x.split(b":")[1] for x in head.split(b"\r\n") if x.lower().startswith(b"content-len")]
    return head + (await reader.readexactly(int(length[0])) if length else b"")


async def test_levels_tokens_and_times() -> None:
    server = Server()

    def begin(level: str) -> None:
        server.together = int(level.split()[0])

    async with serving(server) as url:
        result = await measure(
            url, concurrency=(1, 4), output_tokens=8, prompt_tokens=50, progress=begin
        )
    assert result["model"] == "tiny" and result["left_out"] == []
    one, four = result["levels"]
    assert (one["concurrency"], one["requests"], one["ok"]) == (1, 8, 8)
    assert (four["concurrency"], four["requests"], four["ok"]) == (4, 16, 16)
    assert one["output_tokens"] == 64 and one["counted_by"] == "usage"
    assert one["prompt_tokens"] == 50, "the words are counted out by what the server says"
    assert server.most == 4
    rate = four["output_tokens"] / four["wall_seconds"]  # of 20 ms at least, rounded to 1 ms
    assert four["tokens_per_second"] == pytest.approx(rate, rel=0.05)
    assert 0.005 <= one["first_token"]["p50"] <= one["latency"]["p50"] <= one["latency"]["p99"]
    assert json.loads(json.dumps(result)) == result


async def test_requests_are_distinct_greedy_and_not_to_be_cached() -> None:
    server = Server()
    async with serving(server) as url:
        await measure(url, concurrency=(2,), output_tokens=3, prefix_tokens=30, key="sk-1")
    measured = [body for body in server.bodies if body["stream"] and body["max_tokens"] == 3]
    texts = [body["messages"][0]["content"] for body in measured]
    assert len(texts) == len(set(texts)) == 8
    assert len({" ".join(text.split()[:30]) for text in texts}) == 1
    assert all(b["ignore_eos"] and b["min_tokens"] == 3 and b["temperature"] == 0 for b in measured)
    assert all(h["cache-control"] == "no-store" for h in server.headers)
    assert all(h["authorization"] == "Bearer sk-1" for h in server.headers)


@pytest.mark.parametrize(
    "refused", [{"ignore_eos", "min_tokens"}, {"stream_options"}, {"temperature"}, {"max_tokens"}]
)
async def test_what_a_server_refuses_is_left_out_and_named(refused: set[str]) -> None:
    server = Server()
    server.refuse = refused
    if "max_tokens" in refused:
        server.answer = lambda body: (
            None
            if "max_completion_tokens" in body
            else web.json_response(
                {"error": {"message": "Use 'max_completion_tokens'"}}, status=400
            )
        )
        server.refuse = set()
    async with serving(server) as url:
        result = await measure(url, concurrency=(1,), requests=2, output_tokens=4)
    assert set(result["left_out"]) == refused - {"max_tokens"}
    assert result["levels"][0]["ok"] == 2 and result["levels"][0]["output_tokens"] == 8
    if result["left_out"]:
        assert all(name in table(result) for name in refused)


async def test_chunks_are_counted_where_no_usage_is_given() -> None:
    server = Server()
    server.usage = False
    async with serving(server) as url:
        result = await measure(url, concurrency=(1,), requests=2, output_tokens=5)
    level = result["levels"][0]
    assert (level["output_tokens"], level["counted_by"]) == (10, "chunks")
    assert level["prompt_tokens"] is None


async def test_plain_answers() -> None:
    async with serving(Server()) as url:
        result = await measure(url, concurrency=(2,), requests=4, output_tokens=5, stream=False)
    level = result["levels"][0]
    assert (level["ok"], level["output_tokens"], level["first_token"]) == (4, 20, None)
    assert "–" in table(result)


async def test_refused_requests_count_apart_from_errors() -> None:
    server, kinds = Server(), iter(["429", "500", "fine", "429", "fine", "html"] * 2)

    def answer(body: dict[str, Any]) -> web.Response | None:
        kind = next(kinds) if body["max_tokens"] == 7 else "fine"
        if kind == "html":
            return web.Response(text="<p>hello")
        return None if kind == "fine" else web.json_response({"error": {}}, status=int(kind))

    server.answer = answer
    async with serving(server) as url:
        result = await measure(url, concurrency=(1,), requests=12, output_tokens=7)
    level = result["levels"][0]
    assert (level["ok"], level["refused"]) == (4, 4)
    assert level["errors"] == {"500": 2, "malformed response": 2}
    assert level["output_tokens"] == 28, "of answered requests only"
    assert 0 < level["refused_latency"]["p50"] <= level["wall_seconds"]


async def test_so_many_requests_a_second_whatever_becomes_of_them() -> None:
    server = Server()
    async with serving(server) as url:
        result = await measure(url, rate=100, seconds=0.5, arrivals="fixed", output_tokens=2)
    level = result["levels"][0]
    assert (level["rate"], level["requests"], level["ok"]) == (100, 50, 50)
    assert level["wall_seconds"] >= 0.48
    assert 0 <= level["sent_late"]["p50"] <= level["wall_seconds"]
    assert "100/s" in table(result)


def test_run_without_a_server() -> None:
    with (
        closed_port() as port,
        pytest.raises(Unavailable, match=r"Cannot connect to http://127\.0\.0\.1"),
    ):
        run(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"error": {"message": "wrong key"}}, Unauthorized),
        (403, {"error": {"message": "not this model"}}, Forbidden),
        (404, {"error": {"message": "The model 'x' does not exist"}}, NotFound),
        (404, {"detail": "Not Found"}, BadInput),
        (400, {"error": {"message": "no such thing"}}, BadInput),
        (503, {"error": {"message": "loading"}}, Unavailable),
        (200, {"hello": "world"}, BadInput),
        (200, ["hello"], BadInput),
    ],
)
async def test_a_server_that_does_not_answer_as_it_should_is_one_line(
    status: int, body: Any, error: type[Exception]
) -> None:
    server = Server()
    server.answer = lambda _: web.json_response(body, status=status)
    async with serving(server) as url:
        with pytest.raises(error) as found:
            await measure(url, model="x")
    assert "\n" not in str(found.value) and url in str(found.value)


def test_a_chunked_stream_split_anywhere() -> None:
    def events(pieces: list[bytes]) -> list[bytes]:
        found: list[bytes] = []
        reader = EventParser()
        parser = ResponseParser(lambda piece: found.extend(reader.feed(piece)))
        for piece in pieces:
            assert not parser.done
            parser.feed(piece)
        assert parser.done and parser.keep_alive and parser.status == 200
        return [*found, *reader.end()]

    body = b"data: \xc3\xa9 1\n\ndata:2\r\n\r\n: nothing\n\ndata: x\ndata: y\n\ndata: [DONE]"
    draw = random.Random(0)
    head = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
    expected = [b"\xc3\xa9 1", b"2", b"x\ny", b"[DONE]"]
    for _ in range(300):
        raw, rest = head, body
        while rest:
            size = draw.randint(1, 9)
            raw += b"%X;ext=1\r\n%s\r\n" % (len(rest[:size]), rest[:size])
            rest = rest[size:]
        raw += b"0\r\nTrailer: yes\r\n\r\n"
        cuts = sorted(draw.sample(range(1, len(raw)), draw.randint(0, 12)))
        pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
        assert events(pieces) == expected
    assert events([bytes([byte]) for byte in raw]) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 what\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 70000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
    ],
)
def test_what_is_no_http_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        ResponseParser(lambda _: None).feed(raw)


async def test_a_stream_that_is_cut_off_or_hangs_or_fails_inside() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel")
        writer.close()

    async with raw_server(cut) as url:
        with pytest.raises(CutOff):
            await Client(url).get("/models")

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(hang) as url:
        with pytest.raises(DeadlineExceeded):
            await Client(url, timeout=0.1).get("/models")

    sample = Sample(0.0)
    sample.event(b'{"error": {"message": "the model failed"}}')
    assert sample.error == "error in the stream: the model failed"
    malformed = Sample(0.0)
    malformed.event(b"{")
    assert malformed.error == "malformed event"


async def test_a_connection_is_used_again_and_replaced_when_the_server_closed_it() -> None:
    connections = 0

    async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for _ in range(2):
            await _read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await reader.read(1)  # the third request meets a closing connection
        writer.close()

    async with raw_server(twice) as url:
        client = Client(url)
        assert [(await client.get("/x")).body for _ in range(5)] == [b"ok"] * 5
        assert connections == 3
        client.close()


async def test_a_body_that_ends_with_the_connection() -> None:
    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _read_request(reader)
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        writer.close()

    async with raw_server(old) as url:
        assert (await Client(url).get("/x")).body == b"all of it"


def test_quantiles_and_gaps() -> None:
    assert quantiles([]) is None
    assert quantiles([n / 100 for n in range(100)]) == {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    fine = Sample(1.0, ended=2.0, first=1.5, gaps=[0.1, 0.2], chunks=3, completion_tokens=4)
    found = summary([fine, Sample(1.0, ended=1.1, error="timeout")], wall=2.0)
    assert found["tokens_per_second"] == 2.0 and found["errors"] == {"timeout": 1}
    assert found["first_token"]["p50"] == 0.5 and found["latency"]["p99"] == 1.0
