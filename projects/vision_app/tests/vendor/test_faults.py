"""What a vendor may answer instead of fields: one sentence says so, and OCR goes on meanwhile."""

from __future__ import annotations

import html
import json
import re
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
from vision_app.serve.page import Handlers, Session
from seedbed.testing.vendor.script import Fault, Reply

Launch = Callable[..., Any]
EMPTY: dict[str, Any] = dict.fromkeys(field.name for field in load_schema("invoice").fields)
GOOD = json.dumps(EMPTY | {"vendor": "Bygg AB"})
WRONG_TYPES = json.dumps(EMPTY | {"line_items": "none", "total": {}})
BAD_SCHEMA = Fault(400, "Invalid schema for response_format 'Invoice'.", "invalid_request_error")
LONG = 10_000_000
FAULTS = {
    # name: (reply, status, type, what the sentence names)
    "wrong key": (Reply(fault="401"), 502, "model_access_error", "OPENAI_API_KEY"),
    "country": (Reply(fault="403"), 502, "model_access_error", "refused access"),
    "unknown model": (Reply(fault="404"), 502, "model_not_found", "was not found"),
    "rate limit": (Reply(fault="429", retry_after=7), 429, "rate_limited", "Retry after 7 s"),
    "no credit": (Reply(fault="insufficient_quota"), 502, "model_access_error", "no quota left"),
    "internal error": (Reply(fault="500"), 503, "model_unavailable", "is unavailable"),
    "proxy": (Reply(fault="502"), 503, "model_unavailable", "is unavailable"),
    "overloaded": (Reply(fault="529"), 503, "model_unavailable", "is unavailable"),
    "disconnect": (Reply(fault="cut"), 503, "model_unavailable", "is unavailable"),
    "hang": (Reply(fault="hang"), 504, "model_timeout", "did not reply in time"),
    "drip": (Reply(fault="drip"), 504, "model_timeout", "did not reply in time"),
    "unusable schema": (Reply(fault=BAD_SCHEMA), 502, "model_request_error", "Invalid schema"),
    "no choices": (Reply(fault="empty_choices"), 502, "empty_reply", "empty reply"),
    "cut by length": (Reply('{"vendor": "', finish="length"), 502, "reply_cut_off", "token limit"),
    "filter": (Reply("", finish="content_filter"), 502, "reply_refused", "declined to answer"),
    "refusal": (Reply(refusal="I can't help."), 502, "reply_refused", "declined to answer"),
    "empty": (Reply(""), 502, "empty_reply", "empty reply"),
    "not JSON": (Reply("I am sorry, I can't."), 502, "invalid_reply", "not JSON"),
    "10 MB of text": (Reply("x" * LONG), 502, "invalid_reply", "not JSON"),
    "wrong types": (Reply(WRONG_TYPES), 502, "invalid_reply", "does not follow its schema"),
    "infinite number": (Reply('{"total": 1e999}'), 502, "invalid_reply", "1e999 is too large"),
}


def send(app: Any, route: str, **fields: str) -> httpx.Response:
    files = {"file": ("scan.png", app.picture)}
    return httpx.post(f"{app.url}/v1/{route}", files=files, data=fields, timeout=60)


def check_sentence(text: str, named: str) -> None:
    assert "\n" not in text and 20 < len(text) < 500, text
    assert named in text and "Traceback" not in text and "logged" not in text, text


@pytest.mark.parametrize(("reply", "status", "kind", "named"), FAULTS.values(), ids=FAULTS)
def test_fault_is_one_sentence_everywhere_and_never_stops_the_ocr(
    launch: Launch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    reply: Reply,
    status: int,
    kind: str,
    named: str,
) -> None:
    others_are_done, is_over = threading.Event(), threading.Event()

    def answer(_: Any) -> str | Reply:
        assert others_are_done.wait(30)
        return GOOD if is_over.is_set() else reply

    app = launch(answer, timeout=1.5 if status == 504 else 30)
    # 1. The API: another request reads a text while the model is asked.
    with ThreadPoolExecutor(1) as pool:
        failing = pool.submit(send, app, "extract")
        app.vendor.wait_until(lambda: app.vendor.calls)
        text, waits = send(app, "read", format="text"), not failing.done()
        others_are_done.set()
        response = failing.result()
    assert waits and (text.status_code, text.text.split()) == (200, "Bygg AB 6250.00 SEK".split())
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (status, kind), error
    assert response.headers.get("retry-after") == ("7" if status == 429 else None)
    check_sentence(error["message"], named)
    # 2. The page: the panel of the fields.
    handlers, session = Handlers(app.vision), Session()
    handlers.open([("scan.png", app.picture)], session)
    *_, (panel, _) = handlers.extract(session, "invoice")
    assert panel.count("role='alert'") == 1, panel
    check_sentence(html.unescape(re.sub("<[^>]+>", "", panel)), named)
    # 3. The command line: the next file goes on.
    (tmp_path / "a.png").write_bytes(app.picture)
    (tmp_path / "b.png").write_bytes(app.picture)

    def extract(source: Any) -> Any:
        try:
            return app.vision.extract(source)
        finally:
            is_over.set()

    with pytest.raises(typer.Exit) as end:
        _each(app.vision, [tmp_path], extract, terminal.fields)
    out, err = capsys.readouterr()
    assert end.value.exit_code == 2 and "Bygg AB" in out
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    check_sentence(line, named)


def test_answer_names_a_fault_too(launch: Launch) -> None:
    response = send(launch(lambda _: Reply(fault="401")), "ask", question="Who?")
    assert response.status_code == 502
    check_sentence(response.json()["error"]["message"], "OPENAI_API_KEY")


def test_long_values_are_cut(launch: Launch) -> None:
    reply = EMPTY | {"vendor": "x" * LONG, "line_items": [{"description": "a", "amount": 1}] * 9000}
    response = send(launch([Reply(json.dumps(reply))]), "extract")
    assert response.status_code == 200 and len(response.text) < 200_000
    assert len(response.json()["fields"]["line_items"]) == 1000
    assert all(len(warning) < 200 for warning in response.json()["warnings"])


def test_half_a_surrogate_pair_becomes_a_question_mark(launch: Launch) -> None:
    response = send(launch([Reply(json.dumps(EMPTY | {"vendor": "A\ud800"}))]), "extract")
    assert response.json()["fields"]["vendor"] == "A?"


@pytest.mark.parametrize("total", ["1e400", "9" * 30 + ".12", '"NaN"', '"Infinity"', '"1e400"'])
def test_number_that_is_not_finite_never_leaves_the_api(launch: Launch, total: str) -> None:
    reply = json.dumps(EMPTY | {"vendor": "Bygg AB", "total": 0}).replace(": 0", f": {total}")
    response = send(launch([Reply(reply)] * 2), "extract")
    if response.status_code == 200:
        result = response.json()
        assert result["fields"]["total"] is None and result["fields"]["vendor"] == "Bygg AB"
        assert result["warnings"][0].startswith("total: the model's ")
    else:
        assert response.status_code == 502, response.text


def test_unusable_schema_of_a_caller_is_refused_before_anything_is_read(launch: Launch) -> None:
    app = launch([])
    schema = {"properties": {"plate": {"type": "string", "pattern": "(?=A)"}}}
    response = send(app, "extract", schema=json.dumps(schema))
    assert response.status_code == 400 and "'plate'" in response.json()["error"]["message"]
    assert app.vision.reads == 0 and not app.vendor.calls
