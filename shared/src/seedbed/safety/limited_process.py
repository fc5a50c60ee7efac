"""Render PDF pages in a process of its own, which a hostile file may fill or crash.

    count_pages(data, name="report.pdf")                              # 3
    render(data, 0, name="report.pdf", max_pixels=50_000_000)         # uint8 (height, width, 3)

PDFium is not thread-safe, a page of 2 MB can take it minutes or gigabytes, and there is no way to
stop it but to end its process. So one child process serves all threads, one page after the other,
within limits of time and memory (Windows has neither). It starts when needed, which takes 0.1 s and
25 MB, and ends after IDLE_SECONDS without requests. Limits of the file are left to `images`.
"""

from __future__ import annotations

import atexit
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from math import sqrt
from typing import TYPE_CHECKING, Any

from seedbed.errors import BadInput

if TYPE_CHECKING:
    from vision_app.files.pixels import Pixels

DPI = 170
"""Resolution of a page. The long side of A4 is then 1,988 px; RapidOCR shrinks above 2,000."""
IDLE_SECONDS = 5.0
_REQUEST = struct.Struct("<qqq")  # bytes of the document that follows, page or -1, maximum pixels
_REPLY = struct.Struct("<qqqq")  # pages or one of the codes below, height, width, bytes of a row
_ENCRYPTED, _DAMAGED = -1, -2
_PROBLEMS = {
    _ENCRYPTED: ("is encrypted", "Save it without a password."),
    _DAMAGED: ("is truncated or damaged", "Export it again."),
}


def count_pages(data: bytes, *, name: str) -> int:
    """Number of pages. Raises BadInput for a document that is encrypted, damaged or empty."""
    count, _ = _shared.request(data, -1, 0, name)
    if count == 0:
        raise BadInput(f"{name} has no pages.", hint="Export it again.")
    return count


def render(data: bytes, index: int, *, name: str, max_pixels: int) -> Pixels:
    """The page at `index`, from 0, on white; at DPI, or less where it would exceed `max_pixels`.

    Raises BadInput for a page that is damaged or takes too much time or memory.
    """
    return _shared.request(data, index, max_pixels, f"Page {index + 1} of {name}")[1]


class PdfProcess:
    """The child process, started at a request and again after it ended.

    `max_seconds` is for a request; `max_memory`, in bytes, is enforced on Linux.
    """

    def __init__(self, max_seconds: float = 30.0, max_memory: int = 1_000_000_000) -> None:
        self._max_seconds, self._max_memory = max_seconds, max_memory
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0  # the process that started it
        self._last = 0.0  # end of the last request
        self._lock = threading.Lock()
        atexit.register(self._stop)

    def request(self, data: bytes, index: int, max_pixels: int, name: str) -> tuple[int, Pixels]:
        """Number of pages, and the page at `index`, empty for -1; `name` is for errors."""
        with self._lock:
            process = self._start()
            try:
                status, pixels = _exchange(process, data, index, max_pixels)
            except (OSError, EOFError):
                problem = self._describe_end(process.wait())
                raise BadInput(f"{name} {problem}.", hint="Export its pages as PNG.") from None
            except BaseException:  # Ctrl-C: the rest of the reply would be read as the next one
                self._stop()
                raise
            self._last = time.monotonic()
        if status in _PROBLEMS:
            problem, hint = _PROBLEMS[status]
            raise BadInput(f"{name} {problem}.", hint=hint)
        return status, pixels

    def _start(self) -> subprocess.Popen[bytes]:
        idle = time.monotonic() - self._last
        alive = self._process is not None and self._process.poll() is None
        # Not one that is about to end, nor that of another process, of which this one is a fork.
        if self._process and alive and idle < IDLE_SECONDS / 2 and self._owner == os.getpid():
            return self._process
        self._stop()
        self._owner = os.getpid()
        # -P: the modules beside this file are not top-level modules.
        command = [sys.executable, "-P", __file__, str(self._max_seconds), str(self._max_memory)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            with suppress(OSError):  # of bytes that were not sent
                process.communicate()

    def _describe_end(self, status: int) -> str:
        if status == -getattr(signal, "SIGALRM", 0):
            return f"takes longer than {self._max_seconds:g} s to render"
        return f"is damaged, or takes more than {self._max_memory / 1e6:,.0f} MB to render"


def _exchange(
    process: subprocess.Popen[bytes], data: bytes, index: int, max_pixels: int
) -> tuple[int, Pixels]:
    """Send a request and read the reply. Raises OSError or EOFError if the process ended."""
    import numpy as np

    assert process.stdin and process.stdout
    process.stdin.write(_REQUEST.pack(len(data), index, max_pixels))
    process.stdin.write(data)
    process.stdin.flush()
    reply = process.stdout.read(_REPLY.size)
    if len(reply) < _REPLY.size:
        raise EOFError
    status, height, width, row = _REPLY.unpack(reply)
    padded = np.empty((height, row), np.uint8)
    if process.stdout.readinto(padded.data) < padded.size:  # type: ignore[attr-defined]
        raise EOFError
    return status, np.ascontiguousarray(padded[:, : width * 3]).reshape(height, width, 3)


_shared = PdfProcess()


# ── in the child process ────────────────────────────────────────────────────────────────────


def _serve(max_seconds: float, max_memory: int) -> None:
    """Answer requests from stdin on stdout, until stdin is closed or nothing comes."""
    _limit_memory(max_memory)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    _end_in(IDLE_SECONDS)
    while header := source.read(_REQUEST.size):
        _end_in(max_seconds)
        size, index, max_pixels = _REQUEST.unpack(header)
        _answer(source.read(size), index, max_pixels, target)
        target.flush()
        _end_in(IDLE_SECONDS)


def _answer(data: bytes, index: int, max_pixels: int, target: Any) -> None:
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(data)
        count = len(pdf)
        if not 0 <= index < count:
            target.write(_REPLY.pack(count, 0, 0, 0))
            return
        pdf.init_forms()  # so that filled-in fields are drawn
        page = pdf[index]
        width, height = page.get_size()  # in points, 1/72 inch
        scale = min(DPI / 72, sqrt(max_pixels / (width * height)))
        bitmap = page.render(scale=scale, rev_byteorder=True)  # RGB
    except pypdfium2.PdfiumError as error:
        code = _ENCRYPTED if "password" in str(error).lower() else _DAMAGED
        target.write(_REPLY.pack(code, 0, 0, 0))
        return
    target.write(_REPLY.pack(count, bitmap.height, bitmap.width, bitmap.stride))
    target.write(bitmap.buffer)
    bitmap.close()
    pdf.close()


def _end_in(seconds: float) -> None:
    """Let the system end this process, whatever it is doing then, unless this is called again."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_memory(size: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # not on Windows, nor above a hard limit
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt, BrokenPipeError):  # Ctrl-C reaches every process at once
        _serve(float(sys.argv[1]), int(sys.argv[2]))
