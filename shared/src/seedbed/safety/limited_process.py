"""Run a function on untrusted bytes in a process of its own, with limits of time and memory.

    process = LimitedProcess("my_app.pdf:count_pages", max_seconds=30)
    value, raw = process.call(data, name="report.pdf", page=3)     # count_pages(data, page=3)

Parsers in C cannot be interrupted, and a file of 2 MB can take them minutes or gigabytes. So one
child process serves all threads, one call after the other, within its limits (not enforced on
Windows). It starts when needed, which takes 0.1 s and 25 MB, and ends after IDLE_SECONDS without
calls. Calls and results are a line of JSON followed by plain bytes; pickles, as used by
`concurrent.futures`, could run code in this process.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from importlib import import_module
from typing import Any, BinaryIO

from seedbed.errors import BadInput, TooLarge, Unavailable

log = logging.getLogger(__name__)
IDLE_SECONDS = 5.0
_MAX_LINE = 100_000_000  # bytes of a reply's JSON
_START = (
    "import sys; sys.path[:] = sys.argv[3:];"
    "from seedbed.safety.limited_process import serve; serve(sys.argv[1], int(sys.argv[2]))"
)
_ERRORS = {error.__name__: error for error in (BadInput, TooLarge)}


class LimitedProcess:
    """The child process, started at a call and again after it ended; safe to use from many threads.

    `function` is "module:name" of what the child imports and calls with the data and the keyword
    arguments of `call`. It returns a value for JSON, and bytes; it may raise BadInput and TooLarge.
    `max_seconds` limits the time of one call, or its processor time if `max_wall_seconds` is set
    too; `max_memory`, in bytes, limits writable memory, and is enforced on Linux only. `action` and
    `hint` are part of error messages.
    """

    def __init__(
        self,
        function: str,
        *,
        action: str = "read",
        hint: str = "",
        max_seconds: float = 30.0,
        max_wall_seconds: float | None = None,
        max_memory: int = 1_000_000_000,
    ) -> None:
        self._function, self._action, self._hint = function, action, hint
        self._max_seconds, self._max_memory = max_seconds, max_memory
        self._max_wall_seconds = max_wall_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._last = 0.0  # end of the last call
        self._lock = threading.Lock()
        atexit.register(self._stop)

    def call(
        self, data: bytes, *, name: str, max_seconds: float | None = None, **arguments: Any
    ) -> tuple[Any, bytearray]:
        """What the function returns for the data; `name` is that of the file, for errors.

        Raises BadInput if the function fails or takes too much time or memory, Unavailable if it
        waits too long for a busy processor, and the function's own BadInput or TooLarge.
        """
        seconds = max_seconds or self._max_seconds
        with self._lock:
            process = self._start()
            try:
                reply, raw = self._exchange(process, data, arguments, seconds)
            except (OSError, EOFError, ValueError, TypeError):
                process.kill()  # unless it has ended, which is the usual reason
                problem = f"is damaged, or takes more than {self._max_memory / 1e6:,.0f} MB"
                status = process.wait()
                is_late = status == -getattr(signal, "SIGALRM", 0)
                if is_late and self._max_wall_seconds:
                    waited = f"{name} waited longer than {self._max_wall_seconds:g} s"
                    hint = "Try again later."
                    raise Unavailable(f"{waited} for the processor.", hint=hint) from None
                if is_late or status == -getattr(signal, "SIGPROF", 0):
                    problem = f"takes longer than {seconds:g} s"
                raise BadInput(f"{name} {problem} to {self._action}.", hint=self._hint) from None
            except BaseException:  # Ctrl-C: the rest of the reply would be read as the next one
                self._stop()
                raise
            self._last = time.monotonic()
        if "value" in reply:
            return reply["value"], raw
        if reply["error"] in _ERRORS:
            raise _ERRORS[reply["error"]](reply["message"], hint=reply["hint"])
        log.error("%s failed:\n%s", self._function, reply["message"])
        raise BadInput(f"{name} is damaged and cannot be read.", hint=self._hint)

    def _start(self) -> subprocess.Popen[bytes]:
        idle = time.monotonic() - self._last
        alive = self._process is not None and self._process.poll() is None
        if self._process and alive and idle < IDLE_SECONDS / 2:  # not one that is about to end
            return self._process
        self._stop()
        command = [sys.executable, "-c", _START, self._function, str(self._max_memory), *sys.path]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with suppress(OSError):  # of bytes that were not sent
                process.communicate()

    def _exchange(
        self, process: subprocess.Popen[bytes], data: bytes, arguments: Any, seconds: float
    ) -> tuple[dict[str, Any], bytearray]:
        """Send a call, receive its reply. OSError, EOFError and others: the process ended."""
        assert process.stdin and process.stdout
        processor_seconds = seconds if self._max_wall_seconds else 0.0
        limits = self._max_wall_seconds or seconds, processor_seconds
        call = {"arguments": arguments, "limits": limits, "size": len(data)}
        process.stdin.write(json.dumps(call).encode() + b"\n")
        process.stdin.write(data)
        process.stdin.flush()
        reply = dict(json.loads(process.stdout.readline(_MAX_LINE)))
        raw = bytearray(min(reply.pop("size"), self._max_memory))
        if process.stdout.readinto(raw) < len(raw):  # type: ignore[attr-defined]
            raise EOFError
        return reply, raw


# ── in the child process ────────────────────────────────────────────────────────────────────


def serve(function: str, max_memory: int) -> None:
    """Answer calls from stdin on stdout, until stdin is closed or none comes."""
    _limit_memory(max_memory)
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the function prints is not part of a reply
    with suppress(KeyboardInterrupt, BrokenPipeError):  # Ctrl-C reaches every process at once
        _end_in(IDLE_SECONDS)
        while line := source.readline():
            call = json.loads(line)
            _end_in(*call["limits"])
            _answer(function, source.read(call["size"]), call["arguments"], target)
            _end_in(IDLE_SECONDS)


def _answer(function: str, data: bytes, arguments: dict[str, Any], target: BinaryIO) -> None:
    reply: dict[str, Any]
    raw = b""
    try:
        module, _, name = function.partition(":")
        value, raw = getattr(import_module(module), name)(data, **arguments)
        reply = {"value": value}
    except tuple(_ERRORS.values()) as error:
        reply = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    except MemoryError:
        os._exit(1)
    except Exception:
        reply = {"error": "", "message": traceback.format_exc()}
    target.write(json.dumps(reply | {"size": len(raw)}).encode() + b"\n")
    target.write(raw)
    target.flush()


def _end_in(seconds: float, processor_seconds: float = 0.0) -> None:
    """Let the system end this process, whatever it is doing then, unless this is called again."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
        signal.setitimer(signal.ITIMER_PROF, processor_seconds)  # 0: without a limit


def _limit_memory(size: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # not on Windows, nor above a hard limit
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
