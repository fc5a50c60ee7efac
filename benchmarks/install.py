"""A newcomer's first minute: from a fresh clone and empty caches to the first result.

python benchmarks/install.py rag|vision|workflow    needs git, make, and a package index
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from seedbed.testing.launch import free_port

ROOT = Path(__file__).parent.parent
DEADLINE = 300
SAMPLE = ROOT / "projects/vision_app/src/vision_app/files/samples/invoice.png"
INVOICE = (SAMPLE.name, SAMPLE.read_bytes())
# Method, path and content of a request, and the key of its result that is not empty.
REQUESTS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "rag": ("POST", "/v1/ask", {"json": {"question": "What is hybrid search?"}}, "citations"),
    "vision": ("POST", "/v1/extract", {"files": {"file": INVOICE}}, "evidence"),
    "workflow": ("GET", "/v1/cases?status=waiting", {}, "cases"),  # the first draft for approval
}


def wait_for_answer(project: str, port: int, server: subprocess.Popen[bytes]) -> None:
    """Send the project's request until there is a result."""
    method, path, content, key = REQUESTS[project]
    began = time.monotonic()
    while time.monotonic() - began < DEADLINE and server.poll() is None:
        with suppress(httpx.TransportError):
            url = f"http://127.0.0.1:{port}{path}"
            response = httpx.request(method, url, timeout=60, **content)
            if response.is_success and response.json()[key]:
                return
        time.sleep(0.1)
    raise SystemExit("The server returned no result.")


def megabytes(folder: Path) -> float:
    """The size on disk, with files of several hard links counted once."""
    sizes: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            sizes[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(sizes.values()) / 1e6


def main(project: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder, "clone"), Path(folder, "home")
        home.mkdir()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        inherited = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("SEEDBED_", "RAG_", "VISION_", "WORKFLOW_", "XDG_"))
        }
        environment = {**inherited, "HOME": str(home), "UV_CACHE_DIR": str(home / "uv")}
        port = free_port()
        began = time.perf_counter()
        server = subprocess.Popen(
            ["make", f"run-{project}", f"PORT={port}", f"PYTHON={sys._base_executable}"],
            cwd=clone,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            wait_for_answer(project, port, server)
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
    print(json.dumps(main(sys.argv[1]), indent=2))
