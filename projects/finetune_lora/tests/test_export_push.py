"""Uploads through the real huggingface_hub to a small server that speaks the hub's protocol."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from finetune_lora.export.push import push
from seedbed.errors import BadInput, ConfigError
from seedbed.testing.launch import closed_port

pytestmark = pytest.mark.timeout(180)  # each push is a process that imports the hub's client
Push = Callable[..., subprocess.CompletedProcess[str]]
CODE = """
import sys
from pathlib import Path
from finetune_lora.export.push import push
from seedbed.errors import SeedbedError
try:
    print(push(Path(sys.argv[1]), sys.argv[2], yes=True))
except SeedbedError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
"""


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.created: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.refuse = 0


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        if self.server.refuse:
            self.answer({"error": "no"}, self.server.refuse)
        elif path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            self.answer({"url": f"{self.server.address}/acme/tiny", "id": "1", "name": "acme/tiny"})
        elif "/preupload/" in path:
            asked = json.loads(body)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular"} for f in asked]
            self.answer({"files": [mode | {"shouldIgnore": False} for mode in modes]})
        elif "/commit/" in path:
            for line in body.decode().splitlines():
                operation = json.loads(line)
                if operation["key"] == "file":
                    value = operation["value"]
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
            self.answer(
                {"commitUrl": f"{self.server.address}/acme/tiny/commit/1", "commitOid": "a" * 40}
            )
        else:
            self.answer({"valid": True})

    def do_GET(self) -> None:
        self.answer({"id": "acme/tiny", "sha": "a" * 40, "siblings": []})

    def answer(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "adapter"
    (made / "checkpoints" / "step-000100").mkdir(parents=True)
    (made / "checkpoints" / "step-000100" / "optimizer.bin").write_bytes(b"large")
    (made / "adapter_model.safetensors").write_bytes(b"weights")
    (made / "README.md").write_text("A model card")
    return made


@pytest.fixture
def send(hub: Hub, folder: Path, tmp_path: Path) -> Push:
    def start(repo: str = "acme/tiny", **variables: str) -> subprocess.CompletedProcess[str]:
        env = os.environ | {
            "HF_ENDPOINT": hub.address,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": "hf_of_a_test",
        }
        command = [sys.executable, "-c", CODE, str(folder), repo]
        return subprocess.run(
            command, env=env | variables, text=True, capture_output=True, timeout=120
        )

    return start


def test_everything_but_the_checkpoints_is_sent_to_a_private_repository(
    hub: Hub, send: Push
) -> None:
    done = send()
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("/acme/tiny")
    assert hub.files == {"adapter_model.safetensors": b"weights", "README.md": b"A model card"}
    assert hub.created[0]["visibility"] == "private"


@pytest.mark.slow
@pytest.mark.parametrize(("status", "hint"), [(401, "HF_TOKEN"), (403, "write access")])
def test_a_refusal_is_one_line(hub: Hub, send: Push, status: int, hint: str) -> None:
    hub.refuse = status
    done = send()
    assert done.returncode == 2
    assert done.stderr.startswith("Upload of acme/tiny to http") and hint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"HF_TOKEN": ""}, "No token"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": "http://127.0.0.1:{closed_port}"}, "Check the network"),
    ],
)
def test_push_without_token_or_network_is_one_line(
    hub: Hub, send: Push, variables: dict[str, str], said: str
) -> None:
    with closed_port() as port:
        done = send(**{name: v.format(closed_port=port) for name, v in variables.items()})
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert hub.files == {}


def test_without_yes_it_says_what_would_be_sent(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"2 files .* to acme/tiny\. Add --yes"):
        push(folder, "acme/tiny")
    with pytest.raises(BadInput, match="ORG/NAME"):
        push(folder, "tiny")
    with pytest.raises(BadInput, match="Folder not found"):
        push(tmp_path / "absent", "acme/tiny", yes=True)
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(BadInput, match="does not contain weights"):
        push(folder, "acme/tiny", yes=True)
