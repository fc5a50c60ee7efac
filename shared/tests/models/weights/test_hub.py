"""Weights from the hub: the real huggingface_hub against a small server with its protocol."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seedbed.testing.launch import serve_app

REVISION = "a" * 40
FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 20_000}
Prefetch = Callable[..., subprocess.Popen[str]]
pytestmark = pytest.mark.timeout(240)
responses = pytest.importorskip("starlette.responses")  # of the extra `serve`


class Hub:
    """The parts of the hub's API that a download needs, for one repository."""

    def __init__(self) -> None:
        self.address = ""
        self.files = FILES
        self.paths: list[str] = []
        self.stall = False
        self.halfway = threading.Event()
        self.stopped = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.paths.append(scope["path"])
            await self.answer(scope["path"], scope["method"])(scope, receive, send)

    def answer(self, path: str, method: str) -> Any:
        name = path.rpartition("/")[2]
        data: Any
        if "/resolve/" in path and name in self.files:
            data = self.files[name]
        elif "/tree/" in path:
            sizes = {name: len(content) for name, content in self.files.items()}
            data = [{"type": "file", "path": k, "size": v, "oid": k} for k, v in sizes.items()]
        elif path.startswith("/api/models/acme/tiny"):
            siblings = [{"rfilename": name} for name in self.files]
            data = {"id": "acme/tiny", "sha": REVISION, "siblings": siblings}
        else:
            return responses.Response(status_code=404)
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        headers = {"etag": f'"{hashlib.sha1(content).hexdigest()}"', "x-repo-commit": REVISION}
        headers["content-length"] = str(len(content))
        if self.stall and method == "GET" and name == "model.safetensors":
            return responses.StreamingResponse(self.half(content), headers=headers)
        return responses.Response(content, headers=headers)

    def half(self, content: bytes) -> Iterator[bytes]:
        yield content[: len(content) // 2]
        self.halfway.set()
        self.stopped.wait(60)


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    with serve_app(server) as server.address:
        yield server
        server.stopped.set()


@pytest.fixture
def prefetch(
    hub: Hub, tmp_path: Path, start_python: Callable[..., subprocess.Popen[str]]
) -> Prefetch:
    """Starts the command `prefetch`, which downloads from `hub`."""
    environment = {
        "HF_ENDPOINT": hub.address,
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


def test_absent_repository_is_reported_without_retries(hub: Hub, prefetch: Prefetch) -> None:
    process = prefetch("qwen3-8b")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert len(hub.paths) == 1  # the download itself would retry for half a minute
    assert err.startswith("error: Cannot download OpenVINO/Qwen3-8B-int4-ov@5c47abf4")
    assert len(err.strip().splitlines()) == 1
    assert err.strip().endswith("make prefetch MODEL=qwen3-8b")
