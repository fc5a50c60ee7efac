"""A newcomer's first minute: from a fresh clone and empty caches to the first result.

python benchmarks/install.py [rag|vision|workflow] [--json]    needs git, make, and a package index
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

from seedbed.testing.launch import free_port

ROOT = Path(__file__).parent.parent
DEADLINE = 300


Request = tuple[str, bytes | None, str, str]
"""Path, body (None: GET) and content type, and the key of the result that is not empty."""


def question() -> Request:
    """A question to rag_chatbot."""
    body = json.dumps({"question": "What is hybrid search?"}).encode()
    return "/v1/ask", body, "application/json", "citations"


def invoice() -> Request:
    """An invoice for vision_app."""
    picture = ROOT / "projects/vision_app/src/vision_app/files/samples/invoice.png"
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="invoice.png"\r\n\r\n'
    body = head + picture.read_bytes() + b"\r\n--x--\r\n"
    return "/v1/extract", body, "multipart/form-data; boundary=x", "evidence"


def inbox() -> Request:
    """The first draft of agentic_workflow that waits for approval."""
    return "/v1/cases?status=waiting", None, "", "cases"


REQUESTS = {"rag": question, "vision": invoice, "workflow": inbox}


def first_answer(project: str, port: int, server: subprocess.Popen[bytes]) -> dict[str, Any]:
    """Send the project's request until there is a result."""
    path, body, content_type, key = REQUESTS[project]()
    headers = {"content-type": content_type}
    url = f"http://127.0.0.1:{port}{path}"
    began = time.monotonic()
    while time.monotonic() - began < DEADLINE and server.poll() is None:
        try:
            request = urllib.request.Request(url, body, headers)
            answer = json.load(urllib.request.urlopen(request, timeout=60))
            if answer[key]:
                return answer
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("The server returned no result.")


def megabytes(folder: Path) -> float:
    """On disk, each file once."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            seen[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(seen.values()) / 1e6


def main(project: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder, "clone"), Path(folder, "home")
        home.mkdir()
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("SEEDBED_", "RAG_", "VISION_", "WORKFLOW_", "XDG_"))
        }
        environment = {**kept, "HOME": str(home), "UV_CACHE_DIR": str(home / "uv")}
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
            first_answer(project, port, server)
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
    project = next((name for name in REQUESTS if name in sys.argv), "rag")
    print(json.dumps(main(project), indent=None if "--json" in sys.argv else 2))
