"""Runs a program in a worker process with limits on its time and its output.

    Sandbox(wasm_command(folder)).run("print(1)").stdout      # '1\n'

The worker confines the program and limits its memory: see `wasm_worker.py`.
"""

import json
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Literal

from seedbed.errors import TooLarge

MAX_PROGRAM = 60_000
"""Bytes of a program as JSON: what fits in a pipe."""
MAX_OUTPUT = 50_000
"""Bytes of stdout, and of stderr."""
Status = Literal["ok", "error", "timeout", "memory", "output"]


@dataclass(frozen=True)
class Output:
    """What a program printed, and how it ended: `output` means that it printed too much."""

    stdout: str
    stderr: str
    status: Status
    seconds: float


class Sandbox:
    """Runs programs, several at a time if called from several threads.

    `command` starts a worker for one program, with the time limit as its last argument.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command

    def run(self, code: str, *, seconds: float = 10) -> Output:
        """Run a program. Raises TooLarge.

        The value of its last line is printed, as in a notebook. `stderr` has the traceback of a
        program that fails, or why it was stopped.
        """
        program = json.dumps(code).encode()
        if len(program) > MAX_PROGRAM:
            raise TooLarge(f"The program has {len(program):,} bytes; the limit is {MAX_PROGRAM:,}.")
        start, pipe, exit_status = time.monotonic(), subprocess.PIPE, None
        command = [*self._command, str(seconds)]
        with (
            ThreadPoolExecutor(2) as readers,
            subprocess.Popen(
                command, -1, None, pipe, pipe, pipe, env={}, cwd="/", start_new_session=True
            ) as process,
        ):
            assert process.stdin and process.stdout and process.stderr
            streams = process.stdout, process.stderr
            texts = [readers.submit(_read, stream, process) for stream in streams]
            try:
                with suppress(BrokenPipeError), process.stdin:  # a worker that could not start
                    process.stdin.write(program)
                exit_status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
            finally:
                process.kill()  # no effect if it has ended; the readers then end, too
            stdout, stderr = (text.result() for text in texts)
        status = _status(exit_status, stdout, stderr)
        if status in ("timeout", "output"):
            stderr = f"Stopped: the limits are {seconds:g} s and {MAX_OUTPUT:,} bytes.".encode()
        elif exit_status and not stderr:
            stderr = f"Exit status {exit_status}.".encode()
        out, err = (text[:MAX_OUTPUT].decode(errors="replace") for text in (stdout, stderr))
        return Output(out, err, status, round(time.monotonic() - start, 3))


def _read(stream: IO[bytes], process: subprocess.Popen[bytes]) -> bytes:
    """All of a stream, or, if it is too long, its start; the process is then killed."""
    text = stream.read(MAX_OUTPUT + 1)
    if len(text) > MAX_OUTPUT:
        process.kill()
    return text


def _status(exit_status: int | None, stdout: bytes, stderr: bytes) -> Status:
    if max(len(stdout), len(stderr)) > MAX_OUTPUT:
        return "output"
    if not exit_status:
        return "timeout" if exit_status is None else "ok"
    return "memory" if stderr.rstrip().rpartition(b"\n")[2].startswith(b"MemoryError") else "error"
