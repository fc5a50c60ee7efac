"""Attacks a sandbox for real before it is used, and refuses it if an attack succeeds.

probe(sandbox)      # raises ConfigError, which names what the sandbox lets programs do
"""

import socket
import tempfile
from pathlib import Path

from multi_agent.tools.sandbox.sandbox import Sandbox
from seedbed.errors import ConfigError

_ATTACKS = """
import os, socket
attacks = {
    "start processes": lambda: os.fork() or os._exit(0),
    "open sockets": lambda: socket.create_connection(("127.0.0.1", data["port"]), 5),
    "read files": lambda: open(data["file"]).close(),
    "write files": lambda: open(data["file"], "a").close(),
    "exceed the memory limit": lambda: bytearray(1 << 30),
}
for name, attack in attacks.items():
    try:
        attack()
    except (AttributeError, MemoryError, OSError):
        continue
    print(name)
print("end")
"""


def probe(sandbox: Sandbox) -> None:
    """Try to fork, to reach a socket and a file of this process, and to exceed 256 MB."""
    server = socket.create_server(("127.0.0.1", 0))
    with server, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "file")
        file.touch()
        Path(folder).chmod(0o777)  # so that only the sandbox is in the way
        file.chmod(0o666)
        data = {"port": server.getsockname()[1], "file": str(file)}
        output = sandbox.run(_ATTACKS, data=data, seconds=30, memory_mb=256)
    *attacks, end = output.stdout.split("\n")[:-1] or [""]
    if end == "end" and not attacks:
        return
    reason = output.stderr.strip().rpartition("\n")[2]
    problem = f"lets programs {', '.join(attacks)}" if attacks else f"cannot run programs: {reason}"
    hint = "Allow user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns, "
    hint += "user.max_user_namespaces), or set AGENTS_SANDBOX=wasm."  # for bwrap
    raise ConfigError(f"The sandbox {sandbox.kind!r} {problem}.", hint=hint)
