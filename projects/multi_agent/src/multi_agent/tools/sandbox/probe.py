"""Opens the sandbox: attacks it before it is used, and refuses it if an attack succeeds.

probe(sandbox)      # raises ConfigError, which names what the sandbox lets programs do
"""

import socket
import tempfile
from pathlib import Path

from multi_agent.tools.sandbox.sandbox import Sandbox, wasm_command
from seedbed.errors import ConfigError

_ATTACKS = """
import os, socket
attacks = {
    "start processes": lambda: os.fork() or os._exit(0),
    "open sockets": lambda: socket.create_connection(("127.0.0.1", port), 5),
    "read files": lambda: open(file).close(),
    "write files": lambda: open(file, "a").close(),
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


def open_sandbox(folder: Path) -> Sandbox:
    """The sandbox, after attacks on it have failed. `folder` keeps the compiled CPython.

    Raises ConfigError if an attack succeeds, and what `wasm_command` raises.
    """
    sandbox = Sandbox(wasm_command(folder))
    probe(sandbox)
    return sandbox


def probe(sandbox: Sandbox) -> None:
    """Try to fork, to reach a socket and a file of this process, and to take 1 GB of memory."""
    with socket.create_server(("127.0.0.1", 0)) as server, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "file")
        file.touch()
        Path(folder).chmod(0o777)  # so that only the sandbox is in the way
        file.chmod(0o666)
        targets = f"port, file = {server.getsockname()[1]}, {str(file)!r}\n"
        output = sandbox.run(targets + _ATTACKS, seconds=30)
    *attacks, end = output.stdout.splitlines() or [""]
    if attacks:
        raise ConfigError(f"The sandbox lets programs {', '.join(attacks)}.")
    if end != "end":
        reason = output.stderr.strip().rpartition("\n")[2]
        raise ConfigError(f"The sandbox cannot run programs: {reason}")
