"""The vendor's server: one ASGI application for both protocols, and a context manager to run it.

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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request

from seedbed.server.streaming import cancel_on_disconnect
from seedbed.testing.launch import serve_app
from seedbed.testing.vendor import replies, rules
from seedbed.testing.vendor.script import Fault, Replies, Reply, Script, Usage, VendorRequest

MODELS = (
    *("gpt-4o-mini", "gpt-4o", "gpt-4.1-mini", "gpt-5-mini", "o4-mini"),
    *("claude-haiku-4-5", "claude-sonnet-4-6"),
)
_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
_DRIP_SECONDS = 0.02


@dataclass(frozen=True)
class Protocol:
    """The parts of a protocol: what it refuses, and the form of its replies."""

    window: int  # tokens, unless a test sets another
    check: Callable[[Any, Mapping[str, int]], None]
    faults: Mapping[str, Fault]
    error: Callable[[Fault], dict[str, Any]]
    body: Callable[[replies.CountedReply], dict[str, Any]]
    events: Callable[[replies.CountedReply], Iterator[dict[str, Any]]]
    last: bytes  # what ends a stream
    request_id: str  # the name of the header


_PATHS = {
    "/v1/chat/completions": Protocol(
        128_000,
        rules.check_openai,
        rules.OPENAI_FAULTS,
        replies.openai_error,
        replies.openai_body,
        replies.openai_events,
        b"data: [DONE]\n\n",
        "x-request-id",
    ),
    "/v1/messages": Protocol(
        200_000,
        rules.check_anthropic,
        rules.ANTHROPIC_FAULTS,
        replies.anthropic_error,
        replies.anthropic_body,
        replies.anthropic_events,
        b"",
        "request-id",
    ),
}
_OPENAI, _ANTHROPIC = _PATHS.values()


class Vendor:
    """A running server: its address, the requests it received, and the tokens it counted."""

    def __init__(
        self, script: Replies, key: str, models: Sequence[str] | Mapping[str, int]
    ) -> None:
        self.url = ""
        self.calls: list[VendorRequest] = []
        self.usage = Usage()
        self.key, self.script, self.models = key, Script(script), models
        self.stopped = asyncio.Event()
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def problems(self) -> list[str]:
        """Why requests were refused by a rule, or not answered by the script."""
        return [call.problem for call in self.calls if call.problem]

    def windows(self, protocol: Protocol) -> dict[str, int]:
        """The models of a protocol with their context windows."""
        models = self.models
        return {
            name: models[name] if isinstance(models, Mapping) else protocol.window
            for name in models
            if name.startswith("claude") == (protocol is _ANTHROPIC)
        }

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
            self._loop.call_soon_threadsafe(self.stopped.set)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            return
        self._loop = asyncio.get_running_loop()
        request = Request(scope, receive)
        call = VendorRequest(scope["path"], dict(request.headers))
        with suppress(ValueError):  # refused below
            call.body = json.loads(await request.body())
        self.calls.append(call)
        self._notify()
        try:
            async with cancel_on_disconnect(receive):
                await Exchange(self, call, len(self.calls), send).respond()
        except ClientDisconnect:
            call.disconnected = True
        self._notify()


@dataclass
class Exchange:
    """The response to one request, the vendor's `number`-th."""

    vendor: Vendor
    call: VendorRequest
    number: int
    send: Any

    def __post_init__(self) -> None:
        self.protocol = _PATHS.get(self.call.path, _OPENAI)

    async def respond(self) -> None:
        """Check the request, take the reply from the script, and send it."""
        try:
            self._check()
            # In a thread, as a function of the script may wait for something.
            reply = await asyncio.to_thread(self.vendor.script.take, self.call.body)
        except Exception as error:  # also that of a function in the script
            text = f"the script failed: {error!r}"
            fault = error if isinstance(error, Fault) else Fault(500, text, "server_error")
            reply, self.call.problem = Reply(fault=fault), fault.message
        await self._play(reply)

    def _check(self) -> None:
        headers = self.call.headers
        if self.call.path not in _PATHS:
            raise Fault(404, f"Invalid URL ({self.call.path}): only {', '.join(_PATHS)} exist")
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if headers.get("x-api-key", bearer) != self.vendor.key:
            raise self.protocol.faults["401"]
        if self.protocol is _ANTHROPIC and "anthropic-version" not in headers:
            raise Fault(400, "anthropic-version: header is required")
        self.protocol.check(self.call.body, self.vendor.windows(self.protocol))

    async def _play(self, reply: Reply) -> None:
        streams = bool((self.call.body or {}).get("stream"))
        kind = "text/event-stream" if streams else "application/json"
        fault: Any = reply.fault
        if fault == "stream_error" and not streams:
            fault = "500"
        if fault == "502":
            await self._start(502, "text/html")
            await self._write(_PAGE, more=False)
        elif isinstance(fault, Fault) or fault in self.protocol.faults:
            fault = fault if isinstance(fault, Fault) else self.protocol.faults[fault]
            await self._send_error(fault, reply.retry_after)
        elif fault == "hang":
            await self._wait(None)
            await self._start(200, kind, {"content-length": "1"})  # incomplete, so it is cut
        elif fault == "drip":
            await self._start(200, kind)
            while not await self._wait(_DRIP_SECONDS):
                await self._write(b": keep-alive\n\n" if streams else b" ")
        elif not await self._wait(reply.delay):
            await self._send_completion(reply, kind, streams)

    async def _send_completion(self, reply: Reply, kind: str, streams: bool) -> None:
        done = replies.CountedReply(reply, self.call.body, self.number)
        if streams:
            chunks = [self._encode(event) for event in self.protocol.events(done)]
            await self._start(200, kind)
        else:
            content = json.dumps(self.protocol.body(done)).encode()
            chunks = [content[: len(content) // 2], content[len(content) // 2 :]]
            await self._start(200, kind, {"content-length": str(len(content))})
        breaks_off = reply.fault in ("cut", "stream_error", "stall")
        if not breaks_off:
            self.vendor.usage.input_tokens += done.input_tokens
            self.vendor.usage.output_tokens += done.output_tokens
        for chunk in chunks[: len(chunks) // 2] if breaks_off else chunks:
            await self._write(chunk)
            await asyncio.sleep(0)  # one event, one packet
        if reply.fault == "stall":
            await self._wait(None)
        if reply.fault == "stream_error":
            await self._write(self._encode(self.protocol.error(self.protocol.faults["529"])))
        if reply.fault not in ("cut", "stall"):  # uvicorn closes the connection of these
            await self._write(self.protocol.last if streams else b"", more=False)

    async def _send_error(self, fault: Fault, retry_after: float | None) -> None:
        content = json.dumps(self.protocol.error(fault)).encode()
        headers = {"content-length": str(len(content))}
        if retry_after is not None:
            headers["retry-after"] = f"{retry_after:g}"
        if self.call.problem:  # both clients then raise at once
            headers["x-should-retry"] = "false"
        await self._start(fault.status, "application/json", headers)
        await self._write(content, more=False)

    def _encode(self, event: dict[str, Any]) -> bytes:
        name = f"event: {event['type']}\n" if self.protocol is _ANTHROPIC else ""
        return f"{name}data: {json.dumps(event)}\n\n".encode()

    async def _wait(self, seconds: float | None) -> bool:
        """Wait for `seconds`, or until the server is stopped; returns whether it is stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.vendor.stopped.wait()
        return self.vendor.stopped.is_set()

    async def _start(self, status: int, kind: str, extra: Mapping[str, str] | None = None) -> None:
        self.call.status = status
        request_id = {self.protocol.request_id: f"req_{self.number}"}
        headers = {"content-type": kind, **request_id, **(extra or {})}
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": encoded})

    async def _write(self, content: bytes, *, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": content, "more_body": more})


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
