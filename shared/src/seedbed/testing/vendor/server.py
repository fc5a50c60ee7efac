"""The server: one ASGI application for both protocols, and a context manager that runs it.

    with launch_vendor(["Hello.", Reply(fault="500")]) as vendor:
        client = openai.OpenAI(base_url=f"{vendor.url}/v1", api_key="test-key")
        ...
        assert not vendor.problems          # no request was refused by a rule

The OpenAI client takes `{vendor.url}/v1`, the Anthropic client `vendor.url`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from seedbed.testing.launch import serve_app
from seedbed.testing.vendor import anthropic_rules, openai_rules, replies
from seedbed.testing.vendor.request import Fault, Refusals
from seedbed.testing.vendor.script import Call, Replies, Reply, Script, Usage

MODELS = (
    "gpt-4o-mini",
    "gpt-4o",
    "gpt-4.1-mini",
    "gpt-5-mini",
    "gpt-5.5",
    "gpt-6-sol",
    "o4-mini",
    "claude-haiku-4-5",
    "claude-sonnet-4-6",
    "claude-opus-4-8",
    "claude-sonnet-5-5",
    "claude-opus-5-5",
)
_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
_DRIP_SECONDS = 0.02


@dataclass(frozen=True)
class Protocol:
    """The parts of a protocol: what it refuses, and the form of its replies."""

    rules: ModuleType
    error: Callable[[Fault], dict[str, Any]]
    body: Callable[[replies.Completion], dict[str, Any]]
    events: Callable[[replies.Completion], Iterator[dict[str, Any]]]
    named_events: bool
    request_id: str  # the name of the header


OPENAI = Protocol(
    openai_rules,
    replies.openai_error,
    replies.openai_body,
    replies.openai_events,
    named_events=False,
    request_id="x-request-id",
)
ANTHROPIC = Protocol(
    anthropic_rules,
    replies.anthropic_error,
    replies.anthropic_body,
    replies.anthropic_events,
    named_events=True,
    request_id="request-id",
)
_PATHS = {"/v1/chat/completions": OPENAI, "/v1/messages": ANTHROPIC}


class Vendor:
    """A running server: its address, the requests it received, and the tokens it counted."""

    def __init__(
        self, script: Replies, key: str, models: Sequence[str] | Mapping[str, int]
    ) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.usage = Usage()
        self._script, self._key = Script(script), key
        self._context = {
            name: models[name]
            if isinstance(models, Mapping)
            else (ANTHROPIC if name.startswith("claude") else OPENAI).rules.limits(name)[0]
            for name in models
        }
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    @property
    def problems(self) -> list[str]:
        """Why requests were refused by a rule, or not answered by the script."""
        return [call.problem for call in self.calls if call.problem]

    def wait_until(self, condition: Callable[[], object], timeout: float = 10.0) -> None:
        """Wait until a condition on `calls` is true; TimeoutError if it is not in time.

        vendor.wait_until(lambda: vendor.calls[0].disconnected)
        """
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(f"The condition was not met within {timeout} s: {self.calls}")

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        """End the responses that hang or drip."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        self._loop = asyncio.get_running_loop()
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        request = Request(scope, receive)
        if scope["path"] == "/healthz":
            await JSONResponse({"status": "ok"})(scope, receive, send)
        elif scope["path"] == "/calls":  # for a test in another process
            await JSONResponse([asdict(call) for call in self.calls])(scope, receive, send)
        else:
            call = Call(scope["path"], dict(request.headers))
            call.body = _parse(await request.body())
            self.calls.append(call)
            self._notify()
            await Exchange(self, call, scope["method"], receive, send).respond()
            self._notify()


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


class Exchange:
    """The response to one request."""

    def __init__(self, vendor: Vendor, call: Call, method: str, receive: Any, send: Any) -> None:
        self.vendor, self.call, self.method = vendor, call, method
        self.protocol = _PATHS.get(call.path, OPENAI)
        self.number = len(vendor.calls)
        self._send = send
        self._left = asyncio.ensure_future(receive())  # done when the client disconnects

    async def respond(self) -> None:
        """Check the request, take the reply from the script, and send it."""
        try:
            reply = await self._reply()
        except Fault as fault:
            self.call.problem = fault.message
            await self._send_error(fault)
        except Exception as error:  # of a function in the script
            self.call.problem = f"the script failed: {error!r}"
            await self._send_error(Fault(500, self.call.problem, "server_error"))
        else:
            await self._play(reply)
        finally:
            self._left.cancel()

    async def _reply(self) -> Reply:
        vendor, rules = self.vendor, self.protocol.rules
        if self.call.path not in _PATHS or self.method != "POST":
            text = f"Invalid URL ({self.method} {self.call.path}): only {', '.join(_PATHS)} exist"
            raise Fault(404, text)
        rules.check_key(self.call.headers, vendor._key)
        is_claude = self.protocol is ANTHROPIC
        context = {
            name: size
            for name, size in vendor._context.items()
            if name.startswith("claude") == is_claude
        }
        rules.check(self.call.body, context)
        # In a thread, as a function of the script may wait for something.
        return await asyncio.to_thread(vendor._script.take, self.call.body)

    async def _play(self, reply: Reply) -> None:
        streams = bool(self.call.body.get("stream"))
        rows = self.protocol.rules.refusals.rows
        if reply.fault == "502":
            await self._start(502, "text/html")
            await self._write(_PAGE, more=False)
        elif isinstance(reply.fault, Fault):
            await self._send_error(reply.fault, reply.retry_after)
        elif reply.fault in rows:
            await self._send_error(self._scripted_fault(reply.fault), reply.retry_after)
        elif reply.fault == "stream_error" and not streams:
            await self._send_error(self._scripted_fault("500"))
        elif reply.fault == "hang" or (reply.fault == "stall" and not streams):
            await self._wait(None)
            if not self.call.disconnected:  # the server stops: an incomplete response is cut
                await self._start(200, "application/json", {"content-length": "1"})
        else:
            done = replies.Completion(reply, self.call.body, self.number)
            await (self._stream(done) if streams else self._send_body(done))

    async def _send_body(self, done: replies.Completion) -> None:
        reply = done.reply
        if await self._wait(reply.delay):
            return
        if reply.fault == "drip":
            await self._drip("application/json", b" ")
            return
        content = json.dumps(self.protocol.body(done)).encode()
        await self._start(200, "application/json", {"content-length": str(len(content))})
        if reply.fault == "cut":
            await self._write(content[: len(content) // 2])
            return  # uvicorn closes the connection of an incomplete response
        self._count(done)
        await self._write(content, more=False)

    async def _stream(self, done: replies.Completion) -> None:
        reply = done.reply
        if reply.fault == "drip":
            await self._drip("text/event-stream", b": keep-alive\n\n")
            return
        await self._start(200, "text/event-stream")
        if await self._wait(reply.delay):
            return
        events = list(self.protocol.events(done))
        if reply.fault in ("cut", "stream_error", "stall"):
            events = events[: len(events) // 2]
        for event in events:
            await self._write(self._encode(event))
            await asyncio.sleep(0)  # one event, one packet
        if reply.fault == "stall":
            await self._wait(None)
        if reply.fault in ("cut", "stall"):
            return
        if reply.fault == "stream_error":
            error = self.protocol.error(self._scripted_fault("529"))
            await self._write(self._encode(error))
        else:
            self._count(done)
        last = b"" if self.protocol.named_events else b"data: [DONE]\n\n"
        await self._write(last, more=False)

    async def _drip(self, kind: str, drop: bytes) -> None:
        await self._start(200, kind)
        while not await self._wait(_DRIP_SECONDS):
            await self._write(drop)

    def _scripted_fault(self, name: str) -> Fault:
        model = self.call.body["model"]
        refusals: Refusals = self.protocol.rules.refusals
        return refusals.fault(name, model=model, key="revoked")

    async def _send_error(self, fault: Fault, retry_after: float | None = None) -> None:
        content = json.dumps(self.protocol.error(fault)).encode()
        headers = {"content-length": str(len(content))}
        if retry_after is not None:
            headers["retry-after"] = f"{retry_after:g}"
        if self.call.problem:  # both clients then raise at once
            headers["x-should-retry"] = "false"
        await self._start(fault.status, "application/json", headers)
        await self._write(content, more=False)

    def _encode(self, event: dict[str, Any]) -> bytes:
        name = f"event: {event['type']}\n" if self.protocol.named_events else ""
        return f"{name}data: {json.dumps(event)}\n\n".encode()

    def _count(self, done: replies.Completion) -> None:
        usage = self.vendor.usage
        usage.calls += 1
        usage.input_tokens += done.input_tokens
        usage.output_tokens += done.output_tokens

    async def _wait(self, seconds: float | None) -> bool:
        """Wait, but not longer than the client does; True if the response must end."""
        stopped = asyncio.ensure_future(self.vendor._stopped.wait())
        waits = {self._left, stopped}
        done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        self.call.disconnected = self._left in done
        return bool(done)

    async def _start(self, status: int, kind: str, extra: dict[str, str] | None = None) -> None:
        self.call.status = status
        request_id = {self.protocol.request_id: f"req_{self.number}"}
        headers = {"content-type": kind, **request_id, **(extra or {})}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def _write(self, content: bytes, *, more: bool = True) -> None:
        if self._left.done():
            self.call.disconnected = True
        await self._send({"type": "http.response.body", "body": content, "more_body": more})


@contextmanager
def launch_vendor(
    replies: Replies,
    *,
    key: str = "test-key",
    models: Sequence[str] | Mapping[str, int] = MODELS,
) -> Iterator[Vendor]:
    """Serve the scripted `replies` from a thread of this process, on a free port.

        with launch_vendor(["Hello."], models={"gpt-4o-mini": 100}) as vendor:
            ...

    `models` are the names that exist; as a mapping, with the context window of each in tokens.
    """
    vendor = Vendor(replies, key, models)
    with serve_app(vendor) as vendor.url:
        try:
            yield vendor
        finally:
            vendor.stop()
