"""What a vendor may answer instead of fields: one sentence says so, and OCR goes on meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
FAULTS = {
    "401": (Reply(fault="401"), 502),
    "403": (Reply(fault="403"), 502),
    "404": (Reply(fault="404"), 502),
    "429": (Reply(fault="429", retry_after=0.01), 429),
    "insufficient_quota": (Reply(fault="insufficient_quota"), 502),
    "500": (Reply(fault="500"), 503),
    "502": (Reply(fault="502"), 503),
    "529": (Reply(fault="529"), 503),
    "cut": (Reply(fault="cut"), 503),
    "empty choices": (Reply(fault="empty_choices"), 502),
    "length": (Reply('{"vendor": "', finish="length"), 502),
    "content filter": (Reply("", finish="content_filter"), 502),
    "refusal": (Reply(refusal="I can't help with that."), 502),
    "empty": (Reply(""), 502),
    "not JSON": (Reply("I am sorry, I cannot read it."), 502),
    "not the schema": (Reply(json.dumps(EMPTY | {"line_items": "none"})), 502),
}


def send(app: Any, route: str, **fields: str) -> httpx.Response:
    files = {"file": ("scan.png", app.picture)}
    return httpx.post(f"{app.url}/v1/{route}", files=files, data=fields, timeout=60)


@pytest.mark.parametrize(("fault", "status"), FAULTS.values(), ids=FAULTS)
def test_fault_of_the_model_is_named_in_one_sentence(
    launch: Launch, fault: Reply, status: int
) -> None:
    response = send(launch([fault] * 8), "extract")
    message = response.json()["error"]["message"]
    assert response.status_code == status, message
    assert "\n" not in message and 20 < len(message) < 400, message


def test_half_a_surrogate_pair_becomes_a_question_mark(launch: Launch) -> None:
    response = send(launch([Reply(json.dumps(EMPTY | {"vendor": "A\ud800"}))]), "extract")
    assert response.json()["fields"]["vendor"] == "A?"


@pytest.mark.parametrize("total", ["NaN", "Infinity", "1e400", "9" * 30 + ".12", '"NaN"'])
def test_number_that_is_not_finite_never_leaves_the_api(launch: Launch, total: str) -> None:
    reply = json.dumps(EMPTY | {"vendor": "Bygg AB", "total": 0}).replace(": 0", f": {total}")
    response = send(launch([Reply(reply)] * 2), "extract")
    if response.status_code == 200:
        result = response.json()
        assert result["fields"]["total"] is None and result["fields"]["vendor"] == "Bygg AB"
        assert result["warnings"][0].startswith("total: the model's ")
    else:
        assert response.status_code == 502, response.text


def test_model_that_hangs_does_not_hold_the_text(launch: Launch) -> None:
    app = launch([Reply(fault="hang")] * 20)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(send, app, "extract"), pool.submit(send, app, "ask", question="Who?")]
        app.vendor.wait_until(lambda: len(app.vendor.calls) >= 1)
        assert send(app, "read").status_code == 200
        assert not any(future.done() for future in waiting)
        assert {future.result().status_code for future in waiting} <= {400, 503, 504}


def test_command_line_reports_a_fault_and_goes_on(
    launch: Launch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    app = launch([Reply(fault="401"), Reply(json.dumps(EMPTY | {"vendor": "Bygg AB"}))])
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(app.picture)
    with pytest.raises(typer.Exit):
        _each(app.vision, [tmp_path], app.vision.extract, terminal.fields)
    out, err = capsys.readouterr()
    assert "Bygg AB" in out and "error: " in err and "Traceback" not in err
