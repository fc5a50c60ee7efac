"""Sending a mail in phases, against a server that breaks off at each of them."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from agentic_workflow.effects.outbox import NotDelivered, Rejected, Unknown
from agentic_workflow.effects.smtp import SmtpReceiver, build_message
from agentic_workflow.sample.smtp_server import received, run_smtp_server
from seedbed.testing.launch import free_port

PAYLOAD: dict[str, Any] = {
    "case_id": "c1",
    "to": "anna@example.com",
    "subject": "Re: Order",
    "body": "Dear Anna,\n.\n..two dots\nGrüße",
    "in_reply_to": "m1@example.com",
    "references": ["m0@example.com"],
}
KEY = "m1@example.com:reply:1"
ANSWERS = [b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"354 go", b"250 done"]


class Sink:
    """What a server receives."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.received.append(envelope.content)
        return "250 OK"


@pytest.fixture
def scripted_server() -> Iterator[Callable[..., str]]:
    """Starts servers that give one answer a command, and then close the connection."""
    listeners = []

    def start(*answers: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, answers), daemon=True).start()
        return f"smtp://127.0.0.1:{listener.getsockname()[1]}"

    def serve(listener: socket.socket, answers: tuple[bytes, ...]) -> None:
        connection, _ = listener.accept()
        with suppress(OSError), connection, connection.makefile("rb") as lines:
            for number, answer in enumerate(answers):
                if number == len(ANSWERS) - 1:
                    while lines.readline() not in (b".\r\n", b""):
                        pass
                elif number:
                    lines.readline()
                connection.sendall(answer + b"\r\n")
            if len(answers) == len(ANSWERS) - 1:
                while lines.readline() not in (b".\r\n", b""):
                    pass

    yield start
    for listener in listeners:
        listener.close()


def send(url: str, payload: dict[str, Any] = PAYLOAD) -> tuple[str, list[int]]:
    claims: list[int] = []
    receipt = SmtpReceiver(url, "help@shop.example").deliver(payload, KEY, lambda: claims.append(1))
    return receipt, claims


def test_mail_arrives_as_written(tmp_path: Path) -> None:
    port = free_port()
    with run_smtp_server(tmp_path, port):
        receipt, claims = send(f"smtp://127.0.0.1:{port}")
    assert receipt.startswith("250 ")
    assert len(claims) == 1
    (path,) = tmp_path.glob("*.eml")
    mail = message_from_bytes(path.read_bytes(), policy=policy.default)
    assert mail.get_content().splitlines() == PAYLOAD["body"].splitlines()  # type: ignore[attr-defined]
    assert sum(received(tmp_path).values()) == 1


@pytest.mark.parametrize("phase", range(len(ANSWERS) - 1))
def test_connection_lost_before_the_final_dot_is_not_delivered(
    scripted_server: Callable[..., str], phase: int
) -> None:
    claims: list[int] = []
    receiver = SmtpReceiver(scripted_server(*ANSWERS[:phase]), "help@shop.example")
    with pytest.raises(NotDelivered):
        receiver.deliver(PAYLOAD, KEY, lambda: claims.append(1))
    assert not claims


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        *[(answer, Unknown) for answer in (None, b"354 go on", b"2.0.0 Ok: queued", b"999 what")],
        *[(answer, None) for answer in (b"250 done", b"251 will forward", b"200 fine")],
    ],
)
def test_only_a_2xx_answer_to_the_final_dot_is_delivered(
    scripted_server: Callable[..., str], answer: bytes | None, outcome: type[Exception] | None
) -> None:
    server = scripted_server(*ANSWERS[:-1], *([answer] if answer else []))
    if outcome is None and answer:
        assert send(server) == (answer.decode(), [1])
    else:
        with pytest.raises(Unknown):
            send(server)


@pytest.mark.parametrize("phase", range(2, len(ANSWERS)))
@pytest.mark.parametrize(("code", "error"), [(b"451", NotDelivered), (b"550", Rejected)])
def test_refusal_tells_whether_to_try_again(
    scripted_server: Callable[..., str], phase: int, code: bytes, error: type[Exception]
) -> None:
    answers = [*ANSWERS[:phase], code + b" no", *[b"250 ok"] * (len(ANSWERS) - 1 - phase)]
    with pytest.raises(error):
        send(scripted_server(*answers))


def test_password_is_never_sent_without_tls(scripted_server: Callable[..., str]) -> None:
    server = scripted_server(b"220 hi", b"250-hi\r\n250 AUTH PLAIN", b"235 welcome", *ANSWERS[2:])
    port = server.rpartition(":")[2]
    with pytest.raises(NotDelivered, match="STARTTLS"):
        send(f"smtp://help:secret@0.0.0.0:{port}")  # reaches this machine, but is not loopback


def test_session_begins_again_after_starttls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*make, *names], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    mails = Sink()
    # This server forgets the greeting at STARTTLS, as RFC 3207 demands, and wants a new one.
    controller = Controller(mails, hostname="127.0.0.1", port=free_port(), tls_context=context)
    controller.start()
    try:
        receipt, _ = send(f"smtp://localhost:{controller.port}")
    finally:
        controller.stop()
    assert receipt.startswith("250 ")
    assert len(mails.received) == 1


@pytest.mark.parametrize("to", ["", "a@b.c\r\nBcc: x@y.z", "a@b.c, x@y.z", "<a@b.c>"])
def test_address_that_is_not_plain_is_rejected(to: str) -> None:
    with pytest.raises(Rejected):
        build_message({**PAYLOAD, "to": to}, KEY, "help@shop.example")


def test_subject_and_thread_cannot_add_headers() -> None:
    evil = "Re: x\r\nBcc: victim@example.com\n\nbody\u2028\u0085"
    payload = {**PAYLOAD, "subject": evil, "in_reply_to": "a>\r\nBcc: b@c", "references": [evil]}
    message = build_message(payload, KEY, "help@shop.example")
    text = bytes(message).decode()
    assert message["Bcc"] is None
    assert "\nBcc" not in text
    assert message["In-Reply-To"] is None


def test_message_id_depends_on_the_key_alone() -> None:
    first = build_message(PAYLOAD, KEY, "help@shop.example")
    again = build_message({**PAYLOAD, "body": "other"}, KEY, "help@shop.example")
    other = build_message(PAYLOAD, "m1@example.com:reply:2", "help@shop.example")
    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert str(first["Message-ID"]).startswith("<c1.")


def test_recipient_that_the_server_forwards_is_accepted(
    scripted_server: Callable[..., str],
) -> None:
    answers = [*ANSWERS[:3], b"251 user not local; will forward", *ANSWERS[4:]]
    assert send(scripted_server(*answers))[0] == "250 done"
