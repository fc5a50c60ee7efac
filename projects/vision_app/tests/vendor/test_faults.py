"""What a vendor may answer instead of fields: one sentence says so, and OCR goes on meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from vision_app.__main__ import _each
from vision_app.extract.schemas import load_schema
from vision_app.serve import terminal
from seedbed.testing.vendor.script import Reply

Launch = Callable[..., Any]
EMPTY: dict[str, Any] = dict.fromkeys(field.name for field in load_schema("invoice").fields)
GOOD = json.dumps(EMPTY | {"vendor": "Bygg AB"})
LONG = 10_000_000
FAULTS = {
    # name: (reply, status, type, what the sentence names); that others end alike, `seedbed` tests
    "wrong key": (Reply(fault="401"), 502, "model_access_error", "OPENAI_API_KEY"),
    "rate limit": (Reply(fault="429", retry_after=7), 429, "rate_limited", "Retry after 7 s"),
    "overloaded": (Reply(fault="529"), 503, "model_unavailable", "is unavailable"),
    "disconnect": (Reply(fault="cut"), 503, "model_unavailable", "is unavailable"),
    "hang": (Reply(fault="hang"), 504, "model_timeout", "did not reply in time"),
    "refusal": (Reply(refusal="I can't help."), 502, "reply_refused", "declined to answer"),
    "10 MB of text": (Reply("x" * LONG), 502, "invalid_reply", "not JSON"),
    "infinite number": (Reply('{"total": 1e999}'), 502, "invalid_reply", "1e999 is too large"),
}


def send(app: Any, route: str, **fields: str) -> httpx.Response:
    files = {"file": ("scan.png", app.picture)}
    return httpx.post(f"{app.url}/v1/{route}", files=files, data=fields, timeout=60)


def check_sentence(text: str, named: str) -> None:
    assert "\n" not in text and 20 < len(text) < 500, text
    assert named in text and "Traceback" not in text and "logged" not in text, text


@pytest.mark.parametrize(("reply", "status", "kind", "named"), FAULTS.values(), ids=FAULTS)
def test_fault_is_one_sentence_and_never_stops_the_ocr(
    launch: Launch, reply: Reply, status: int, kind: str, named: str
) -> None:
    text_is_read = threading.Event()

    def answer(_: Any) -> Reply:
        assert text_is_read.wait(30)
        return reply

    app = launch(answer, timeout=1.5 if status == 504 else 30)
    with ThreadPoolExecutor(1) as pool:  # another request reads a text while the model is asked
        failing = pool.submit(send, app, "extract")
        app.vendor.wait_until(lambda: app.vendor.calls)
        text, waits = send(app, "read"), not failing.done()
        text_is_read.set()
        response = failing.result()
    assert waits and text.json()["pages"][0]["text"] == "Bygg AB 6250.00 SEK"
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (status, kind), error
    assert response.headers.get("retry-after") == ("7" if status == 429 else None)
    check_sentence(error["message"], named)


def test_fault_on_the_command_line_is_one_line_and_the_next_file_goes_on(
    launch: Launch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = launch([Reply(fault="401"), Reply(GOOD)])
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(app.picture)
    with pytest.raises(typer.Exit) as end:
        _each(app.vision, [tmp_path], app.vision.extract, terminal.fields)
    out, err = capsys.readouterr()
    assert end.value.exit_code == 2 and "Bygg AB" in out
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    check_sentence(line, "OPENAI_API_KEY")


def test_long_values_are_cut(launch: Launch) -> None:
    reply = EMPTY | {
        "vendor": "\ud800" + "x" * LONG,
        "line_items": [{"description": "a", "amount": 1}] * 9000,
    }
    response = send(launch([Reply(json.dumps(reply))]), "extract")
    assert response.status_code == 200 and len(response.text) < 200_000
    assert len(response.json()["fields"]["line_items"]) == 1000
    assert all(len(warning) < 200 for warning in response.json()["warnings"])
