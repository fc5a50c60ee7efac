"""Weights from the hub: the real huggingface_hub against a small server with its protocol."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

REVISION = "a" * 40
FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 20_000}
Prefetch = Callable[..., subprocess.Popen[str]]
pytestmark = pytest.mark.timeout(240)


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.stall = False
        self.hang_up = False
        self.files = FILES
        self.halfway = threading.Event()
        self.stopped = threading.Event()
        self.paths: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def answer(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.server.paths.append(path)
        if self.server.hang_up:
            self.close_connection = True
            return
        name = path.rpartition("/")[2]
        if "/resolve/" in path and name in self.server.files:
            data = self.server.files[name]
        elif "/tree/" in path:
            files = [
                {"type": "file", "path": k, "size": len(v), "oid": k}
                for k, v in self.server.files.items()
            ]
            data = json.dumps(files).encode()
        elif path.startswith("/api/models/acme/tiny"):
            siblings = [{"rfilename": name} for name in self.server.files]
            data = json.dumps({"id": "acme/tiny", "sha": REVISION, "siblings": siblings}).encode()
        else:
            self.send_error(404)
            return
        etag = hashlib.sha1(data).hexdigest()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()
        if body and self.server.stall and name == "model.safetensors":
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.server.halfway.set()
            self.server.stopped.wait()
        elif body:
            self.wfile.write(data)

    def do_GET(self) -> None:
        self.answer(body=True)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.stopped.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def prefetch(
    hub: Hub, tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> Prefetch:
    """Starts the command `prefetch`, which downloads from `hub`."""
    environment = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_ETAG_TIMEOUT": "60",
        "HF_HUB_DOWNLOAD_TIMEOUT": "60",
    }

    def start(spec: str, **variables: str) -> subprocess.Popen[str]:
        command = ("-m", "seedbed.models.weights", "prefetch", spec)
        return start_python(*command, **(environment | variables))

    return start


def test_prefetch_downloads_a_revision_once(hub: Hub, prefetch: Prefetch) -> None:
    process = prefetch(f"hf:acme/tiny@{REVISION}")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    folder = Path(out.strip())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    requests = len(hub.paths)
    again = prefetch(f"hf:acme/tiny@{REVISION}", HF_HUB_OFFLINE="1")
    assert again.communicate(timeout=60)[0].strip() == str(folder)
    assert len(hub.paths) == requests


@pytest.mark.parametrize("others", [{}, {"model.safetensors": b"3"}])
def test_prefetch_leaves_out_bin_files_beside_safetensors_only(
    hub: Hub, prefetch: Prefetch, others: dict[str, bytes]
) -> None:
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"1", "model.onnx": b"2"} | others
    out, err = prefetch(f"hf:acme/tiny@{REVISION}").communicate(timeout=60)
    weights = "model.safetensors" if others else "pytorch_model.bin"
    names = {path.name for path in Path(out.strip()).iterdir()}
    assert names == {"config.json", "model.onnx", weights}, err


@pytest.mark.slow
def test_killed_download_is_continued(hub: Hub, prefetch: Prefetch) -> None:
    hub.stall = True
    process = prefetch("hf:acme/tiny")
    assert hub.halfway.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    hub.stall = False
    offline = prefetch("hf:acme/tiny", HF_HUB_OFFLINE="1")
    assert "HF_HUB_OFFLINE=0 make prefetch" in offline.communicate(timeout=60)[1]
    assert offline.returncode == 2
    process = prefetch("hf:acme/tiny")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert (Path(out.strip()) / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_failed_connection_is_reported_without_retries(hub: Hub, prefetch: Prefetch) -> None:
    hub.hang_up = True
    process = prefetch("qwen3-8b")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert len(hub.paths) == 1  # the download itself would retry for half a minute
    assert err.startswith("Cannot download OpenVINO/Qwen3-8B-int4-ov@5c47abf4")
    assert len(err.strip().splitlines()) == 1
    assert err.strip().endswith("make prefetch MODEL=qwen3-8b")
