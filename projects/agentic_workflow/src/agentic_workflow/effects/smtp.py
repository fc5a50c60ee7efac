"""Sends replies through an SMTP server, in phases, so that a failure can be told from a doubt.

    smtp = SmtpReceiver("smtp://127.0.0.1:2525", "help@shop.example")
    smtp.deliver({"to": "anna@example.com", "subject": "Re: …", "body": "…"}, key, claim)  # "250 OK"

SMTP servers cannot recognize a repetition, so `repeatable` is False. Whatever fails before the final
dot is certainly not delivered; a connection lost after it leaves a doubt. The claim is therefore
made between the text and the dot, which leaves milliseconds for a crash to cause one.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.policy import SMTP
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit

from agentic_workflow.effects.outbox import Claim, NotDelivered, Rejected, Unknown
from seedbed.errors import ConfigError

SECONDS = 20.0
"""Timeout of each read and write."""
REFERENCES = 20
"""Message ids in the header References, the youngest."""
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_MESSAGE_ID = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]{1,240}")


class SmtpReceiver:
    """An SMTP server. `url` is smtp://[USER:PASSWORD@]HOST[:PORT], or smtps:// for TLS at once."""

    repeatable = False

    def __init__(self, url: str, address: str) -> None:
        self._url, self._address = urlsplit(url), address
        if self._url.scheme not in ("smtp", "smtps") or not self._url.hostname:
            raise ConfigError(
                "WORKFLOW_SMTP_URL is not a mail server.", hint="Write smtp://HOST:PORT."
            )

    def deliver(self, payload: Mapping[str, Any], key: str, claim: Claim) -> str:
        """Send one mail; the receipt is the server's last line.

        Raises Rejected (5xx, or an address that is not one), NotDelivered or Unknown.
        """
        message = build_message(payload, key, self._address)
        data = re.sub(rb"(?m)^\.", b"..", message.as_bytes(policy=SMTP))
        client = None
        try:
            # 1. Everything but the end of the message. Nothing is delivered yet.
            client = self._connect()
            _expect(client.mail(self._address))
            _expect(client.rcpt(message["To"]))
            _expect(client.docmd("DATA"), 354)
            client.send(data if data.endswith(b"\r\n") else data + b"\r\n")
        except (OSError, smtplib.SMTPException) as error:
            _close(client)
            raise _failure(error) from error
        except (Rejected, NotDelivered):
            _close(client)
            raise
        try:
            # 2. Commit the claim.
            claim()
            # 3. The final dot: from here on, only the server knows.
            try:
                client.send(b".\r\n")
                reply = client.getreply()
            except (OSError, smtplib.SMTPException) as error:
                raise Unknown(f"connection lost after the message: {error}") from error
            _expect(reply)
            return f"{reply[0]} {reply[1].decode(errors='replace')}"
        finally:
            _close(client)

    def release(self, key: str) -> bool:  # noqa: ARG002
        """Nothing is reserved for a mail."""
        return False

    def _connect(self) -> smtplib.SMTP:
        host, tls = str(self._url.hostname), ssl.create_default_context()
        if self._url.scheme == "smtps":
            port = self._url.port or 465
            client: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=tls)
        else:
            client = smtplib.SMTP(host, self._url.port or 25, timeout=SECONDS)
        try:
            client.ehlo_or_helo_if_needed()
            if client.has_extn("starttls"):
                client.starttls(context=tls)
                client.ehlo()
            if self._url.username:
                client.login(unquote(self._url.username), unquote(self._url.password or ""))
        except BaseException:
            _close(client)
            raise
        return client


def build_message(payload: Mapping[str, Any], key: str, address: str) -> EmailMessage:
    """The mail of a payload with `case_id`, `to`, `subject`, `body`, `in_reply_to` and `references`.

    Line breaks in a subject become spaces, and message ids with other characters than a header may
    contain are left out. Raises Rejected if `to` is not a plain address.
    """
    if not _ADDRESS.fullmatch(payload["to"]):
        raise Rejected(f"{payload['to']!r} is not an address to reply to.")
    digest = sha256(key.encode()).hexdigest()[:32]
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = address, payload["to"]
    message["Subject"] = "".join(
        c if c.isprintable() else " " for c in " ".join(payload["subject"].split())
    )
    domain = address.partition("@")[2]
    # With the case's id, so that an answer to this mail can be linked to the case.
    message["Message-ID"] = f"<{payload['case_id']}.{digest}@{domain}>"
    message["Idempotency-Key"] = digest
    message["Auto-Submitted"] = "auto-replied"  # RFC 3834: other robots do not answer it
    parent = payload.get("in_reply_to", "")
    thread = [*payload.get("references", ())[-REFERENCES:], parent]
    references = [f"<{i}>" for i in dict.fromkeys(thread) if _MESSAGE_ID.fullmatch(i)]
    if _MESSAGE_ID.fullmatch(parent):
        message["In-Reply-To"] = f"<{parent}>"
    if references:
        message["References"] = " ".join(references)
    message.set_content(payload["body"], cte="quoted-printable")
    return message


def _expect(reply: tuple[int, bytes], code: int = 250) -> None:
    text = f"{reply[0]} {reply[1].decode(errors='replace')}"
    if reply[0] == code or (code == 250 and reply[0] == 251):
        return
    raise Rejected(text) if 500 <= reply[0] < 600 else NotDelivered(text)


def _failure(error: Exception) -> Exception:
    """A refused log-in or EHLO is for good only if the server says so by 5xx."""
    code = getattr(error, "smtp_code", 0)
    text = " ".join(str(error).split()) or type(error).__name__
    return Rejected(text) if 500 <= code < 600 else NotDelivered(text)


def _close(client: smtplib.SMTP | None) -> None:
    if client is not None:
        client.close()
