"""The worker process of the WebAssembly sandbox: hosts one program, and is killed with it.

    python -I -S wasm_worker.py SITE_PACKAGES compile python.wasm MODULE
    python -I -S wasm_worker.py SITE_PACKAGES run MODULE SECONDS MEMORY_MB < request.json

It is a script of its own, without imports from the project, so that it starts in 0.1 s.
"""

import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

sys.path.append(sys.argv[1])
import wasmtime

HOST_MB = 512
"""Memory of the worker itself, beside that of the program."""
NOBODY = 65534


def compile_module(wasm: str, target: str) -> None:
    """Compile CPython to machine code: 4 to 12 s."""
    module = wasmtime.Module.from_file(wasmtime.Engine(), wasm)
    Path(target).write_bytes(module.serialize())


def run(path: str, seconds: str, memory_mb: str) -> int:
    """Run the program on stdin; returns its exit status. Nothing but the three pipes is passed."""
    engine = wasmtime.Engine()
    module = wasmtime.Module.deserialize_file(engine, path)
    wasi = wasmtime.WasiConfig()
    bootstrap = Path(__file__).with_name("bootstrap.py").read_text()
    wasi.argv = ["python", "-I", "-X", "utf8", "-c", bootstrap]
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    store = wasmtime.Store(engine)
    store.set_wasi(wasi)
    store.set_limits(memory_size=int(memory_mb) << 20)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    instance = linker.instantiate(store, module)
    _lock(float(seconds), int(memory_mb))
    try:
        instance.exports(store)["_start"](store)
    except wasmtime.ExitTrap as exit:
        return exit.code
    except wasmtime.Trap as trap:  # such as an overflow of the stack
        print(trap.message.splitlines()[-1], file=sys.stderr)
        return 134
    return 0


def _lock(seconds: float, memory_mb: int) -> None:
    """A second wall, in case that WebAssembly has a hole: no files, little memory, no root."""
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)  # kills it if the parent cannot
    for limit, value in {
        resource.RLIMIT_DATA: (HOST_MB + memory_mb) << 20,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }.items():
        resource.setrlimit(limit, (value, value))
    if os.geteuid() == 0:
        with suppress(PermissionError):  # a container without this capability
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)


if __name__ == "__main__":
    _, _, command, *arguments = sys.argv
    sys.exit(compile_module(*arguments) if command == "compile" else run(*arguments))
