"""Runs a program in a worker process with a wall clock and a limit on its output.

    Sandbox("wasm", wasm_command(folder)).run("print(data['x'] + 1)", data={"x": 1}).stdout  # '2\n'

The command of the worker locks the program in: `wasm.py`, `bwrap.py`.
"""

import json
import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from seedbed.errors import TooLarge

MAX_REQUEST = 60_000
"""Bytes of a program with its data: what fits in a pipe."""
Status = Literal["ok", "error", "timeout", "memory", "output"]
Command = Callable[[float, int], list[str]]
"""From the limits in seconds and MB to the command line of a worker."""


@dataclass(frozen=True)
class Output:
    """What a program printed, and how it ended: `output` means that it printed too much."""

    stdout: str
    stderr: str
    status: Status
    seconds: float


class Sandbox:
    """Runs programs, several at a time if called from several threads."""

    def __init__(self, kind: str, command: Command) -> None:
        self.kind = kind
        self._command = command
        self._running: set[subprocess.Popen[bytes]] = set()

    def run(
        self,
        code: str,
        *,
        data: Mapping[str, Any] | None = None,
        seconds: float = 10,
        memory_mb: int = 256,
        max_output: int = 50_000,
    ) -> Output:
        """Run a program, whose variable `data` has JSON values. Raises TooLarge.

        The value of its last line is printed, as in a notebook. `stderr` has the traceback of a
        program that fails, or why it was stopped.
        """
        request = json.dumps({"code": code, "data": dict(data or {})}).encode()
        if len(request) > MAX_REQUEST:
            raise TooLarge(f"The program has {len(request):,} bytes; the limit is {MAX_REQUEST:,}.")
        start, pipe, command = time.monotonic(), subprocess.PIPE, self._command(seconds, memory_mb)
        with subprocess.Popen(
            command, 0, None, pipe, pipe, pipe, env={}, cwd="/", start_new_session=True
        ) as process:
            self._running.add(process)
            try:
                stdout, stderr, status = _watch(process, request, start + seconds, max_output)
            finally:
                process.kill()  # no effect if it has ended
                self._running.discard(process)
        if status in ("timeout", "output"):
            stderr[:] = f"Stopped: the limits are {seconds:g} s and {max_output:,} bytes.".encode()
        out, err = (text[:max_output].decode(errors="replace") for text in (stdout, stderr))
        return Output(out, err, status, round(time.monotonic() - start, 3))

    def close(self) -> None:
        """Kill the programs that still run; their callers get an `error`."""
        for process in tuple(self._running):
            process.kill()


def _watch(
    process: subprocess.Popen[bytes], request: bytes, deadline: float, max_output: int
) -> tuple[bytearray, bytearray, Status]:
    """Send the request, and read stdout and stderr until the program ends or exceeds a limit."""
    assert process.stdin and process.stdout and process.stderr
    with suppress(BrokenPipeError):  # a worker that could not start
        process.stdin.write(request)
        process.stdin.close()
    stdout, stderr = bytearray(), bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, stdout)
        selector.register(process.stderr, selectors.EVENT_READ, stderr)
        while selector.get_map():
            for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                block = os.read(key.fd, 65536)
                key.data.extend(block)
                if not block:
                    selector.unregister(key.fileobj)
            if len(stdout) + len(stderr) > max_output:
                return stdout, stderr, "output"
            if time.monotonic() > deadline:
                return stdout, stderr, "timeout"
    try:  # it may have closed its pipes and go on
        code = process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return stdout, stderr, "timeout"
    memory = stderr.rstrip().rpartition(b"\n")[2].startswith(b"MemoryError")
    status: Status = "ok" if code == 0 else "memory" if memory else "error"
    return stdout, stderr or bytearray(f"Exit status {code}." * bool(code), "ascii"), status
