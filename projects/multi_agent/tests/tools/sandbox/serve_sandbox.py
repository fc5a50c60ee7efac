"""Answers programs on stdin, one JSON line each, with their output: for a process of another user.

python serve_sandbox.py wasm
"""

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from multi_agent.tools.sandbox import open_sandbox

if __name__ == "__main__":
    cache = Path(tempfile.gettempdir(), f"multi_agent-sandbox-{os.geteuid()}")
    sandbox = open_sandbox(sys.argv[1], cache)
    assert sandbox
    for line in sys.stdin:
        code, options = json.loads(line)
        print(json.dumps(asdict(sandbox.run(code, **options))), flush=True)
