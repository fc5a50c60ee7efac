"""Runs inside the sandbox: locks the process, if it has arguments, and runs the program.

    python -c "$(cat bootstrap.py)" [MEMORY_MB FILTER PACKAGES] < request.json

It is not imported: Python in WebAssembly, or in bubblewrap, gets it as text.
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

    limits = {"DATA": memory_mb << 20, "NPROC": 32, "NOFILE": 64, "FSIZE": 0, "CORE": 0}
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
    code = ctypes.create_string_buffer(filter, len(filter))
    program = struct.pack("HP", len(filter) // 8, ctypes.addressof(code))
    pr_set_no_new_privs, pr_set_seccomp, mode_filter = 38, 22, 2
    prctl = ctypes.CDLL(None).prctl
    if prctl(pr_set_no_new_privs, 1, 0, 0, 0) or prctl(pr_set_seccomp, mode_filter, program):
        sys.exit("This kernel does not support seccomp filters.")


if len(sys.argv) > 1:
    sys.path.append(sys.argv[3])
    lock(int(sys.argv[1]), bytes.fromhex(sys.argv[2]))
request = json.loads(sys.stdin.buffer.read())
try:
    tree = ast.parse(request["code"], "program.py")
    names = {"__name__": "__main__", "data": request["data"]}
    last = [tree.body.pop()] if tree.body and isinstance(tree.body[-1], ast.Expr) else []
    exec(compile(tree, "program.py", "exec", dont_inherit=True), names)
    # As in a notebook, the value of the last line is printed.
    exec(compile(ast.Interactive(last), "program.py", "single", dont_inherit=True), names)
except MemoryError as error:  # too little of it is left for a traceback
    sys.exit(f"MemoryError: {error}")
