"""The worker process of the WebAssembly sandbox: hosts one program, and is killed with it.

    python -I -S wasm_worker.py SITE_PACKAGES MODULE SECONDS MEMORY_MB < request.json

It is a script of its own, without imports from the project, so that it starts in 0.1 s.
"""

import os
import resource
import signal
import sys
from pathlib import Path

sys.path.append(sys.argv[1])
import wasmtime

HOST_MB = 512
"""Memory of the worker itself, beside that of the program."""


def load(store: wasmtime.Store, module: str, memory_mb: int) -> wasmtime.Instance:
    """Python in WebAssembly with a memory and three pipes, and nothing else."""
    wasi = wasmtime.WasiConfig()
    bootstrap = Path(__file__).with_name("bootstrap.py").read_text()
    wasi.argv = ["python", "-I", "-X", "utf8", "-c", bootstrap]
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    store.set_wasi(wasi)
    store.set_limits(memory_size=memory_mb << 20)
    linker = wasmtime.Linker(store.engine)
    linker.define_wasi()
    return linker.instantiate(store, wasmtime.Module.deserialize_file(store.engine, module))


def lock(seconds: float, memory_mb: int) -> None:
    """A second wall, in case that WebAssembly has a hole: no files, little memory, no root."""
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)  # ends it if the parent has died
    for name, value in {"DATA": memory_mb << 20, "FSIZE": 0, "CORE": 0}.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)


if __name__ == "__main__":
    store, memory_mb = wasmtime.Store(), int(sys.argv[4])
    instance = load(store, sys.argv[2], memory_mb)
    lock(float(sys.argv[3]), HOST_MB + memory_mb)
    try:
        instance.exports(store)["_start"](store)
    except wasmtime.ExitTrap as exit:
        sys.exit(exit.code)
    except wasmtime.Trap as trap:  # such as an overflow of the stack
        sys.exit(trap.message.splitlines()[-1])
