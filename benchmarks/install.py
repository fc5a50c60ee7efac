"""A newcomer's first minute: from a fresh clone and empty caches to the first cited answer.

python benchmarks/install.py [--json]         needs git, make, and the network or a package mirror
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from seedbed.testing import free_port

ROOT = Path(__file__).parent.parent
DEADLINE = 300


def first_answer(port: int, server: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Ask until there is an answer with citations."""
    question = json.dumps({"question": "What is hybrid search?"}).encode()
    url, headers = f"http://127.0.0.1:{port}/v1/ask", {"content-type": "application/json"}
    began = time.monotonic()
    while time.monotonic() - began < DEADLINE and server.poll() is None:
        try:
            request = urllib.request.Request(url, question, headers)
            answer = json.load(urllib.request.urlopen(request, timeout=10))
            if answer["citations"]:
                return answer
        except OSError:
            time.sleep(0.1)
    raise SystemExit("There was no cited answer.")


def megabytes(folder: Path) -> float:
    """On disk, each file once."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            seen[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(seen.values()) / 1e6


def main() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder, "clone"), Path(folder, "home")
        home.mkdir()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        kept = {
            k: v for k, v in os.environ.items() if not k.startswith(("SEEDBED_", "RAG_", "XDG_"))
        }
        environment = {**kept, "HOME": str(home), "UV_CACHE_DIR": str(home / "uv")}
        port = free_port()
        began = time.perf_counter()
        server = subprocess.Popen(
            ["make", "run-rag", f"PORT={port}", f"PYTHON={sys._base_executable}"],
            cwd=clone,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            first_answer(port, server)
            seconds = time.perf_counter() - began
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)
        packages = {path.name for path in clone.glob(".venv/lib/python*/site-packages/*")}
        return {
            "first_answer_seconds": round(seconds, 1),
            "installed_mb": round(megabytes(clone / ".venv")),
            "torch_installed": "torch" in packages,
        }


if __name__ == "__main__":
    print(json.dumps(main(), indent=None if "--json" in sys.argv else 2))
