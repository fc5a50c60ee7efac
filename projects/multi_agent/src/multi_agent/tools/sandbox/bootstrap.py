"""Runs inside the sandbox: locks the process, if it has arguments, and runs the program.

    python -c "$(cat bootstrap.py)" [MEMORY_MB FILTER PACKAGES] < request.json

Python in WebAssembly, or in bubblewrap, gets it as text.
"""

import ast
import json
import sys


def lock(memory_mb: int, filter: bytes) -> None:
    """Give up root, limit this process, and leave it only the system calls of a BPF filter."""
    import ctypes
    import os
    import resource
    import struct

    for name, value in {"DATA": memory_mb << 20, "NPROC": 32, "NOFILE": 64, "CORE": 1}.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    code = ctypes.create_string_buffer(filter, len(filter))
    program = struct.pack("HP", len(filter) // 8, ctypes.addressof(code))
    if ctypes.CDLL(None).prctl(22, 2, program):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        sys.exit("This kernel does not support seccomp filters.")


def run(code: str, data: object) -> None:
    """Run a program as a module of its own; as in a notebook, its last value is printed."""
    tree, names = ast.parse(code, "program.py"), {"__name__": "__main__", "data": data}
    last = [tree.body.pop()] if tree.body and isinstance(tree.body[-1], ast.Expr) else []
    exec(compile(tree, "program.py", "exec", dont_inherit=True), names)
    exec(compile(ast.Interactive(last), "program.py", "single", dont_inherit=True), names)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.path.append(sys.argv[3])
        lock(int(sys.argv[1]), bytes.fromhex(sys.argv[2]))
    try:
        run(**json.loads(sys.stdin.buffer.read()))
    except MemoryError as error:  # too little of it is left for a traceback
        sys.exit(f"MemoryError: {error}")
