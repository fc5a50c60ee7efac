"""The routes: a mail is read, a person decides, and the worker pays."""

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fastapi.testclient import TestClient

from tools.nano import app as program
from tools.nano import routes, server
from seedbed.testing.launch import free_port, run_server

MAIL = b"Subject: Order 59688\n\nThe pot arrived broken. Refund me 23.40, please.\n"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder: Path = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NANO_DATA", str(folder))  # of the worker
        patch.setattr(program, "DATA", folder)
        app = server.create_app()
        routes.add_routes(app)
        yield TestClient(app)


def decide(client: TestClient, mail: str, decision: str) -> tuple[int, str]:
    response = client.post(f"/mails/{mail}/decision", json={"decision": decision})
    return response.status_code, response.text


def test_mail_is_read_and_refunded_once(client: TestClient) -> None:
    for _ in range(2):  # the same mail twice
        mail = client.post("/mails", content=MAIL).json()
        assert mail["category"] == "refund"
        status, text = decide(client, mail["id"], "23,40")
        assert (status, text) == (200, '"refund: 23.40 EUR refunded"')
    payments = program.Payments(program.DATA / "payments.sqlite")
    assert payments.counts(program.refund_key(MAIL)) == (2, 1)


def test_refusal_of_a_person_is_final(client: TestClient) -> None:
    mail = client.post("/mails", content=MAIL).json()["id"]
    assert decide(client, mail, "no") == (200, '"refund: not approved"')


def test_impossible_amount_and_unknown_mail_are_refused(client: TestClient) -> None:
    status, text = decide(client, "unknown", "-5")
    assert (status, "neither no nor a possible amount" in text) == (400, True)
    status, text = decide(client, "unknown", "5")
    assert (status, "Unknown mail" in text) == (404, True)


def test_worker_ends_with_its_server(tmp_path: Path) -> None:
    port = free_port()
    env = {"PORT": str(port), "NANO_DATA": str(tmp_path)}
    command = [sys.executable, "-m", "tools.nano.server"]
    with run_server(command, port, "/health", env=env) as process:
        (worker,) = psutil.Process(process.pid).children()
    worker.wait(10)  # raises an error if it goes on
