"""The worker process of the sandbox: a script that starts in 0.1 s, for one program.

    python -I -S wasm_worker.py SITE_PACKAGES MODULE SECONDS MAX_OUTPUT < program.json

The program sees memory, a clock, random numbers and three pipes; there is no folder, no socket and
no other process to name.
"""

import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    sys.path.append(sys.argv[1])
import wasmtime

MEMORY_MB = 256


def run(module: str, seconds: float, max_output: int) -> None:
    """Run the program on stdin, with a memory and three pipes, and nothing else."""
    wasi = wasmtime.WasiConfig()
    bootstrap = Path(__file__).with_name("bootstrap.py").read_text()
    wasi.argv = ["python", "-I", "-X", "utf8", "-c", bootstrap]
    wasi.inherit_stdin()
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    store = wasmtime.Store()
    store.set_wasi(wasi)
    store.set_limits(memory_size=MEMORY_MB << 20)
    linker = wasmtime.Linker(store.engine)
    linker.define_wasi()
    linker.define_module(store, "", wasmtime.Module.deserialize_file(store.engine, module))
    # A second wall, in case WebAssembly has a hole: short files, as the output is one, little
    # memory, no root.
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)  # ends it if the parent has died
    limits = {"DATA": (512 + MEMORY_MB) << 20, "FSIZE": max_output, "CORE": 1}
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    if os.geteuid() == 0:
        with suppress(PermissionError):  # a container whose root may not
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
    linker.get_default(store, "")(store)


if __name__ == "__main__":
    try:
        run(sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
    except wasmtime.ExitTrap as exit:
        sys.exit(exit.code)
    except wasmtime.Trap as trap:  # such as an overflow of the stack
        sys.exit(trap.message.splitlines()[-1])
