"""The page Vendors is true: what it names can be installed, and builds its clients."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| (.+?) \| (.*?) ?\| (.*?) ?\| `(.+?)` \| (.*?) ?\|$", re.MULTILINE)
# Names that a vendor's client checks; any others are "x".
VALUES = {
    "AZURE_OPENAI_ENDPOINT": "https://example.openai.azure.com",
    "OPENAI_API_VERSION": "2024-10-21",
    "AWS_DEFAULT_REGION": "us-east-1",
    "GOOGLE_GENAI_USE_VERTEXAI": "true",
    "GOOGLE_CLOUD_LOCATION": "europe-west1",
}
FOREIGN = re.compile(r"API_KEY|^AWS|^AZURE|^GOOGLE|^OPENAI|^SEEDBED|^PYTHONPATH$")
BUILD = """
import sys
from seedbed.models.embeddings.load_embeddings import load_embeddings
from seedbed.models.load import check_chat_model, load_chat_model
check_chat_model(sys.argv[1])
load_chat_model(sys.argv[1])
if sys.argv[2]:
    load_embeddings(sys.argv[2])
"""
CALL = """
import sys
from seedbed.models.load import load_chat_model
try:
    load_chat_model(sys.argv[1], attempts=1, timeout=60).invoke("Hello")
except Exception as error:
    print(type(error).__name__, error.provider_status)
"""
KINDS = {
    400: "ModelRequestError",
    401: "ModelAccessError",
    403: "ModelAccessError",
    404: "ModelNotFound",
    429: "RateLimited",
    503: "ModelUnavailable",
}


class Vendor(NamedTuple):
    name: str
    packages: list[str]
    variables: list[str]
    chat: str
    embeddings: str

    @property
    def settings(self) -> dict[str, str]:
        return {name: VALUES.get(name, "x") for name in self.variables}


def read_vendors() -> list[Vendor]:
    page = (ROOT / "docs/how-to/vendors.md").read_text("utf-8")
    codes = re.compile(r"`(.+?)`")
    return [
        Vendor(name, codes.findall(packages), codes.findall(names), chat, embeddings.strip("`"))
        for name, packages, names, chat, embeddings in ROW.findall(page)
        if name != "vendor"
    ]


VENDORS = read_vendors()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with every package of the page, beside the pinned versions."""
    folder = tmp_path_factory.mktemp("vendors") / "venv"
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    packages = {package for vendor in VENDORS for package in vendor.packages}
    install = [uv, "pip", "install", "--quiet", "--python", folder, "-c", ROOT / "constraints.txt"]
    library = f"{ROOT / 'shared'}[remote,local]"
    subprocess.run([*install, "-e", library, *sorted(packages)], check=True)
    return folder / "bin" / "python"


def run(python: Path, script: str, *words: str, **settings: str) -> str:
    env = {name: value for name, value in os.environ.items() if not FOREIGN.search(name)}
    # Where no proxy answers, whatever asks for the network fails at once.
    dead = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [python, "-c", script, *words],
        env=env | dead | settings,
        cwd=python.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_clients_are_built_from_the_variables_of_the_page(python: Path, vendor: Vendor) -> None:
    run(python, BUILD, vendor.chat, vendor.embeddings, **vendor.settings)


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)
def test_without_its_variables_a_vendor_is_refused_with_a_reason(
    python: Path, vendor: Vendor
) -> None:
    if not vendor.variables:
        return
    script = "import sys\nfrom seedbed.models.load import check_chat_model\n"
    script += "try:\n    check_chat_model(sys.argv[1])\nexcept Exception as e:\n    print(e)"
    message = run(python, script, vendor.chat)
    assert any(word in message for word in (*vendor.variables, "region", "GOOGLE_API_KEY")), message
    assert len(message.splitlines()) == 1


@contextmanager
def refusing() -> Iterator[tuple[str, list[int]]]:
    """A server that answers each request with the status in the list."""
    statuses = [500]

    class Refusal(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            body = json.dumps({"error": {"message": "No.", "code": statuses[0]}}).encode()
            self.send_response(statuses[0])
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", statuses
        server.shutdown()


@pytest.mark.parametrize(
    "vendor",
    [v for v in VENDORS if "Entra" not in v.name and "Vertex" not in v.name],
    ids=lambda vendor: vendor.name,
)
def test_refusals_are_told_apart_by_their_status(python: Path, vendor: Vendor) -> None:
    credentials = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    with refusing() as (url, statuses):
        for status, kind in KINDS.items():
            statuses[0] = status
            azure = vendor.name.startswith("Azure")
            address = {"AZURE_OPENAI_ENDPOINT" if azure else "SEEDBED_BASE_URL": url}
            printed = run(python, CALL, vendor.chat, **vendor.settings | credentials | address)
            assert printed == f"{kind} {status}"
