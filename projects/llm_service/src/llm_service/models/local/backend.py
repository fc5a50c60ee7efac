"""A local model as a backend: starts its process at the first use, and speaks with it."""

from __future__ import annotations

import array
import asyncio
import base64
import itertools
import logging
import math
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from llm_service.models.entry import ModelEntry
from llm_service.models.local import unsupported, wire
from llm_service.request import MAX_CHOICES, Ask, Delta, Embedded, Event, Finish, Load, Usage
from seedbed.errors import Busy, SeedbedError, Unavailable

log = logging.getLogger(__name__)
START_SECONDS = 600.0  # a large model is converted at its first start, on a busy machine
STOP_SECONDS = 5.0
RETRY_SECONDS = 10.0
MAX_LINE = 2**30  # bytes of one message of a worker, such as the vectors of many texts
Inbox = asyncio.Queue[wire.Frame]  # the events of one request, in order
_LAST = ("usage", "vectors", "error")


class Process:
    """A worker's process, and our end of its socket."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.alive = True
        self.process = process
        self._numbers = itertools.count()
        self._inboxes: dict[int, Inbox] = {}
        self._writer: asyncio.StreamWriter
        self._reading: asyncio.Task[None]

    @classmethod
    async def start(cls, name: str, order: dict[str, Any]) -> Process:
        """Start a worker, and wait until it has generated a token. Raises the worker's error."""
        process, connection = spawn(order)
        self = cls(name, process)
        reader, self._writer = await asyncio.open_connection(sock=connection, limit=MAX_LINE)
        self._reading = asyncio.create_task(self._read(reader))
        try:
            async with asyncio.timeout(START_SECONDS):
                await self.started
        except TimeoutError:
            await self.stop()
            raise Unavailable(
                f"Model {name!r} did not load within {START_SECONDS:.0f} s."
            ) from None
        except BaseException:
            await self.stop()
            raise
        return self

    @property
    def memory(self) -> int:
        """Resident memory in bytes; 0 if unknown."""
        import psutil

        with suppress(psutil.Error):
            return int(psutil.Process(self.process.pid).memory_info().rss) if self.alive else 0
        return 0

    @property
    def busy(self) -> bool:
        return bool(self._inboxes)

    @contextmanager
    def request(self, ask: str, body: dict[str, Any]) -> Iterator[Inbox]:
        """Send a request and have its inbox; leaving early cancels it."""
        number, inbox = next(self._numbers), Inbox()
        self._inboxes[number] = inbox
        try:
            self._write({"id": number, "ask": ask, "body": body})
            yield inbox
        finally:
            if self._inboxes.pop(number, None) is not None and self.alive:
                self._write({"id": number, "cancel": True})

    async def stop(self) -> None:
        """End the process, also one that is inside a long step."""
        self._writer.close()
        if self.process.poll() is None:
            self.process.terminate()
            await asyncio.to_thread(_wait, self.process)
        await asyncio.wait({self._reading})

    def _write(self, value: Any) -> None:
        if self._writer.is_closing():
            raise self._exited()
        self._writer.write(wire.encode(value))

    def _exited(self) -> Unavailable:
        return Unavailable(f"The process of model {self.name!r} has exited.", hint="Try again.")

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while (line := await reader.readline()).endswith(b"\n"):
                self._receive(wire.decode(line))
        except (OSError, ValueError) as error:
            log.warning("Reading from the process of model %s failed: %s", self.name, error)
        self.alive = False
        self._writer.close()
        if not self.started.done():
            self.started.set_exception(self._exited())
        for number, inbox in self._inboxes.items():
            inbox.put_nowait([number, "error", wire.from_error(self._exited())])
        self._inboxes.clear()
        await asyncio.to_thread(_wait, self.process)  # or it stays as a zombie

    def _receive(self, message: Any) -> None:
        if isinstance(message, dict):
            if self.started.done():
                return
            if "ready" in message:
                self.started.set_result(None)
            else:
                self.started.set_exception(wire.to_error(message["failed"]))
            return
        for frame in message:
            inbox = self._inboxes.get(frame[0])
            if inbox is not None:
                inbox.put_nowait(frame)
                if frame[1] in _LAST:
                    del self._inboxes[frame[0]]


def spawn(order: dict[str, Any]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A process that loads what `order` names, and our end of its socket."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "llm_service.models.local.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the service, which ends this one after
        )
    ours.sendall(wire.encode(order))
    return process, ours


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class LocalBackend:
    """One local model. At most `max_running` requests decode together and `max_queue` wait; what
    comes beyond is refused at once, without asking the process.

    `make_room` is awaited before and after the process starts: it may unload other models.
    """

    def __init__(
        self,
        name: str,
        entry: ModelEntry,
        *,
        max_running: int = 16,
        max_queue: int = 64,
        make_room: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.entry = entry
        self.load = Load()
        self.last_used = time.monotonic()
        self._most = max_running
        self._max_queue = max_queue
        self._make_room = make_room
        self._process: Process | None = None
        self._starting = asyncio.Lock()
        self._closed = False
        self._in_flight = 0
        self.failure: SeedbedError | None = None  # why it could not be loaded last time
        self._failed_at = -math.inf
        self.resting = False  # not running on purpose: unloaded, or new after a reload
        self._seconds = 1.0  # of a typical request: a running mean, for Retry-After

    @property
    def process(self) -> Process | None:
        """The running process, None while the model isn't loaded."""
        return self._process if self._process is not None and self._process.alive else None

    @property
    def starting(self) -> bool:
        """Whether its process is being started or ended."""
        return self._starting.locked()

    @property
    def may_start(self) -> bool:
        """Whether a readiness probe may start it: frequent probes must not restart it each time."""
        return not self.starting and time.monotonic() > self._failed_at + RETRY_SECONDS

    async def generate(self, ask: Ask) -> AsyncGenerator[Event, None]:
        body = {**self.entry.defaults, **ask.body}
        unsupported.check(ask, body)
        with self._slot():
            process = await self.loaded()
            with process.request(ask.kind, body) as inbox:
                while True:
                    frame = await inbox.get()
                    kind = frame[1]
                    if kind == "text":
                        _, _, index, text, tokens, logprobs = frame
                        yield Delta(text, index, tokens, logprobs=logprobs or ())
                    elif kind == "calls":
                        yield Delta("", frame[2], frame[4], tool_calls=frame[3])
                    elif kind == "finish":
                        yield Finish(frame[3], frame[2])
                    elif kind == "usage":
                        yield Usage(frame[2], frame[3])
                        return
                    else:
                        raise wire.to_error(frame[2])

    async def embed(self, ask: Ask) -> Embedded:
        unsupported.check(ask, ask.body)
        with self._slot():
            process = await self.loaded()
            with process.request(ask.kind, dict(ask.body)) as inbox:
                frame = await inbox.get()
                if frame[1] == "error":
                    raise wire.to_error(frame[2])
                return Embedded([_floats(vector) for vector in frame[2]], frame[3])

    async def check(self) -> None:
        """Load the model if it isn't; it has then generated a token. Unavailable if it can't."""
        await self.loaded()

    async def loaded(self) -> Process:
        """The running process, started now if there is none."""
        self.last_used = time.monotonic()
        if (process := self.process) is not None:
            return process
        async with self._starting:
            if self._closed:
                raise Unavailable(f"Model {self.name!r} was unloaded.", hint="Try again.")
            if (process := self.process) is None:
                process = await self._start()
            return process

    async def _start(self) -> Process:
        if self._make_room is not None:
            await self._make_room()
        started = time.monotonic()
        # The engine must accept all that is admitted here; it counts choices, which are more.
        queue = (self._most + self._max_queue) * MAX_CHOICES
        options = {"max_running": self._most, "max_queue": queue}
        order = {"kind": self.entry.kind, "spec": self.entry.spec, "options": options}
        try:
            self._process = process = await Process.start(self.name, order)
        except SeedbedError as error:
            self.failure, self._failed_at = error, time.monotonic()
            raise
        self.failure, self.resting = None, False
        log.info("Loaded model %s in %.1f s", self.name, time.monotonic() - started)
        if self._make_room is not None:
            await self._make_room()  # now it is known what this one takes
        return process

    async def unload(self) -> None:
        """End the process; the next request starts it again."""
        async with self._starting:
            process, self._process = self._process, None
            if process is not None:
                self.resting = True
                await process.stop()

    async def close(self) -> None:
        self._closed = True
        await self.unload()

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._in_flight >= self._most + self._max_queue:
            turns = self._in_flight / self._most
            raise Busy(
                f"{self.name}: the queue is full ({self._in_flight} requests running or waiting).",
                hint="Try again later.",
                retry_after=round(max(1.0, turns * self._seconds), 1),
            )
        started = time.monotonic()
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)
            self._seconds += 0.1 * (time.monotonic() - started - self._seconds)

    def _count(self, change: int) -> None:
        self._in_flight += change
        self.load.running = min(self._in_flight, self._most)
        self.load.waiting = self._in_flight - self.load.running


def _floats(encoded: str) -> array.array[float]:
    vector = array.array("f", base64.b64decode(encoded))
    if sys.byteorder == "big":
        vector.byteswap()
    return vector
