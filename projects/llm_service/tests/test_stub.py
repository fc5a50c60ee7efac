"""The stub upstream as a command: it starts, answers, and misbehaves on demand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedbed.testing.launch import free_port


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    port = free_port()
    command = [
        sys.executable,
        str(Path(__file__).with_name("stub_upstream.py")),
        "--port",
        str(port),
        "--tokens",
        "3",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and "stub upstream" in process.stdout.readline()
        url = f"http://127.0.0.1:{port}/v1"
        wait_until_up(f"{url}/models", process)
        yield url
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def wait_until_up(url: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 50
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            assert process.poll() is None, "the stub has ended"
            assert time.monotonic() < deadline, "the stub does not answer"
            time.sleep(0.05)


def post(url: str, body: dict[str, object], **headers: str) -> bytes:
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=50) as response:
        return response.read()


def test_it_answers_whole_and_streamed(address: str) -> None:
    body: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    answer = json.loads(post(f"{address}/chat/completions", body))
    assert answer["choices"][0]["message"]["content"] == "The stub says"
    assert answer["usage"]["completion_tokens"] == 3
    stream = post(f"{address}/chat/completions", body | {"stream": True, "max_tokens": 1})
    lines = stream.decode().split("\n\n")
    assert lines[-2] == "data: [DONE]"
    assert '"content": "The"' in lines[0] and '"length"' in lines[1]
    assert b'"message_stop"' in post(f"{address}/messages", body | {"stream": True})


def test_a_header_asks_for_a_fault(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(
            f"{address}/chat/completions", {"model": "m", "messages": []}, **{"x-stub-fault": "429"}
        )
    assert caught.value.code == 429
    assert caught.value.headers["Retry-After"] == "1"
