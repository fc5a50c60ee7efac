"""Runs untrusted Python programs without files, network or other processes.

    sandbox = open_sandbox(Path("var/multi_agent/sandbox"))
    sandbox.run("sum(range(10))").stdout        # '45\n'

CPython compiled to WebAssembly runs in a worker process; it has the standard library, no packages.
The sandbox is probed with escape attempts when it is opened. What a program may contain is not
looked at: the sandbox decides what a program can do.
"""

from multi_agent.tools.sandbox.probe import open_sandbox
from multi_agent.tools.sandbox.sandbox import Output, Sandbox

__all__ = ["Output", "Sandbox", "open_sandbox"]
