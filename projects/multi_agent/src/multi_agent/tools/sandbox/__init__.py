"""A sandbox for Python programs that nobody has read: no files, no network, no other processes.

    sandbox = open_sandbox("wasm", Path("var/multi_agent"))
    sandbox.run("sum(range(10))").stdout        # '45\n'

`wasm` runs CPython compiled to WebAssembly, on any system. `bwrap` runs this machine's Python with
its packages (numpy) in Linux namespaces. Both are attacked when they are opened.
"""

from pathlib import Path

from multi_agent.tools.sandbox.bwrap import bwrap_command
from multi_agent.tools.sandbox.probe import probe
from multi_agent.tools.sandbox.sandbox import Output, Sandbox
from multi_agent.tools.sandbox.wasm import wasm_command
from seedbed.errors import ConfigError

__all__ = ["Output", "Sandbox", "open_sandbox"]


def open_sandbox(kind: str, cache_dir: Path) -> Sandbox:
    """The sandbox `wasm` or `bwrap`, after an attack on it failed.

    Compiles CPython into `cache_dir` the first time, in 4 to 12 s. Raises ConfigError if something
    is missing or an attack succeeds; there is no fallback to a weaker sandbox.
    """
    if kind not in ("wasm", "bwrap"):
        raise ConfigError(f"Unknown sandbox {kind!r}.", hint="Available: wasm, bwrap.")
    sandbox = Sandbox(kind, wasm_command(cache_dir) if kind == "wasm" else bwrap_command())
    probe(sandbox)
    return sandbox
