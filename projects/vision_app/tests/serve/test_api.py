"""The HTTP API on a stand-in for the models; images are opened for real."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient

from vision_app.files.pixels import encode_png
from vision_app.serve.api import CLASSIFIERS, READERS, create_app
from seedbed.settings import Settings

ROUTES = ("classify", "read", "extract", "ask")
EXTRA = {"ask": {"question": "total?"}}


def picture(width=60, height=40, gray=200):
    return encode_png(np.full((height, width, 3), gray, np.uint8))


@pytest.fixture(scope="module")
def client(make_vision):
    app = create_app(make_vision(), Settings(api_keys=""))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def send(client, route, data=None, file=None, **fields):
    """Post an image as a form."""
    files = {"file": ("scan.png", picture() if file is None else file)}
    return client.post(f"/v1/{route}", files=files, data={**(data or {}), **fields})


def error(response):
    return response.status_code, response.json()["error"]["message"]


@pytest.mark.parametrize("route", ROUTES)
def test_route_refuses_unknown_fields_and_a_request_without_a_file(client, route):
    extra = EXTRA.get(route, {})
    assert send(client, route, extra).status_code == 200
    assert error(send(client, route, extra, colour="1"))[1].startswith("colour: Extra inputs")
    problem = "file: Field required."
    assert error(client.post(f"/v1/{route}", json={"file": "x", **extra})) == (400, problem)
    assert client.post(f"/v1/{route}", data={"file": "x"}).status_code == 400


def test_classify_returns_labels_and_file(client):
    result = send(client, "classify", k="2").json()
    assert result["file"] == "scan.png" and result["sure"] is True
    assert [label["label"] for label in result["labels"]] == ["gray 200", "pot"]
    assert error(send(client, "classify", k="0"))[1].startswith("k: Input should be greater than")


def test_read_returns_the_text(client):
    [page] = send(client, "read").json()["pages"]
    assert page["text"] == "Northwind Ltd\nTotal 12.50 <b>EUR</b>"


def test_extract_takes_schema_name_or_object_but_no_path(client):
    result = send(client, "extract").json()
    assert result["fields"]["vendor"] == "Northwind Ltd" and result["fields"]["date"] is None
    assert result["evidence"]["total"]["box"] == [20, 20, 33, 30]
    schema = {"type": "object", "properties": {"total": {"type": "number"}}}
    assert send(client, "extract", schema=json.dumps(schema)).json()["fields"] == {"total": 12.5}
    status, message = error(send(client, "extract", schema="/etc/passwd"))
    assert status == 400 and "'invoice' or 'receipt'" in message


@pytest.mark.parametrize("content", [b"", b"hello", picture()[:60], b"<svg/>", b"%PDF-1.4 broken"])
def test_file_that_is_no_image_is_refused(client, content):
    status, message = error(send(client, "read", file=content))
    assert status == 400 and "scan.png" in message, message


@pytest.mark.parametrize("route", ["classify", "read"])
def test_full_queue_is_answered_with_retry_after(make_vision, route):
    vision = make_vision(queue=1)
    slots = CLASSIFIERS if route == "classify" else READERS
    with TestClient(create_app(vision, Settings(api_keys=""))) as client:
        vision.released.clear()
        with ThreadPoolExecutor(slots + 1) as pool:
            held = [pool.submit(send, client, route)]
            assert vision.entered.wait(30)
            held += [pool.submit(send, client, route) for _ in range(slots)]
            wait_for_queue(client, route, 1)
            refusal = send(client, route)
            vision.released.set()
            assert {request.result().status_code for request in held} == {200}
    assert refusal.status_code == 429 and int(refusal.headers["retry-after"]) >= 1


def wait_for_queue(client, name, length):
    """Until so many requests wait; each request to the server lets it go on."""
    line = f'vision_queue_length{{queue="{name}"}} {length:.1f}'
    while line not in client.get("/metrics").text:
        pass


def test_disconnect_frees_the_place_in_the_queue(make_vision, serve, caplog):
    vision = make_vision(queue=2)
    address = serve(create_app(vision, Settings(api_keys="")))
    vision.released.clear()
    workers = ThreadPoolExecutor(READERS + 2)
    with workers as pool, httpx.Client(base_url=address, timeout=60) as client:
        held = [pool.submit(send, client, "read") for _ in range(READERS + 1)]
        wait_for_queue(client, "read", 1)
        with pytest.raises(httpx.ReadTimeout), httpx.Client(base_url=address, timeout=1) as other:
            send(other, "read")
        wait_for_queue(client, "read", 1)
        held.append(pool.submit(send, client, "read"))
        wait_for_queue(client, "read", 2)
        vision.released.set()
        assert {request.result().status_code for request in held} == {200}
    records = [record for record in caplog.records if record.name == "seedbed.service"]
    assert not [record for record in records if record.levelname == "ERROR"]
    assert "POST /v1/read 499" in caplog.text
