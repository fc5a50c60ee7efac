"""Sends replies through an SMTP server, so that "not sent" and "maybe sent" can be told apart.

    smtp = SmtpReceiver("smtp://127.0.0.1:8025", "help@shop.example")
    smtp.deliver({"case_id": "c…", "to": "anna@example.com", "subject": "Re: …", …}, key, claim)

Mail servers do not recognize a repetition, so `repeatable` is False. Whatever fails before the
final dot is certainly not delivered; a connection lost after it leaves a doubt. The claim is made
between the text and the dot, so that a crash leaves a doubt only in the milliseconds after it.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Mapping
from contextlib import closing
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote, urlsplit

from agentic_workflow.effects.outbox import Claim, NotDelivered, Rejected, Unknown, key_digest
from seedbed.errors import ConfigError
from seedbed.server.service import is_loopback

SECONDS = 20.0
"""Timeout of each read and write."""
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_MESSAGE_ID = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]{1,240}")


class SmtpReceiver:
    """An SMTP server: smtp://[USER:PASSWORD@]HOST[:PORT], or smtps:// for TLS from the start."""

    repeatable = False

    def __init__(self, url: str, address: str) -> None:
        self._url, self._address = urlsplit(url), address
        if self._url.scheme not in ("smtp", "smtps") or not self._url.hostname:
            hint = "Write smtp://HOST:PORT."
            raise ConfigError("WORKFLOW_SMTP_URL is not the URL of a mail server.", hint=hint)

    def deliver(self, payload: Mapping[str, Any], key: str, claim: Claim) -> str:
        """Send one mail; the receipt is the server's answer. Raises as every Receiver does."""
        message = build_message(payload, key, self._address)
        data = re.sub(rb"(?m)^\.", b"..", message.as_bytes(policy=SMTP))
        try:
            client = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            raise NotDelivered(f"mail server: {error}") from error
        with closing(client):
            # 1. Everything but the end of the mail. Nothing is delivered yet.
            try:
                self._log_in(client)
                _expect(client.mail(self._address))
                _expect(client.rcpt(str(message["To"])))
                _expect(client.docmd("DATA"), range(354, 355))
                client.send(data)
            except (OSError, smtplib.SMTPException) as error:
                raise NotDelivered(f"mail server: {error}") from error
            # 2. Commit the claim.
            claim()
            # 3. The final dot: from here on, the mail may be delivered.
            try:
                client.send(b".\r\n")
                answer = client.getreply()
            except (OSError, smtplib.SMTPException) as error:
                raise Unknown(f"no answer after the whole mail: {error}") from error
            try:
                return _expect(answer)
            except NotDelivered as error:
                if 400 <= answer[0] < 500:
                    raise
                raise Unknown(f"unclear answer after the whole mail: {error}") from None

    def _connect(self) -> smtplib.SMTP:
        host, port = str(self._url.hostname), self._url.port or 0
        if self._url.scheme == "smtps":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(host, port, timeout=SECONDS, context=context)
        return smtplib.SMTP(host, port, timeout=SECONDS)

    def _log_in(self, client: smtplib.SMTP) -> None:
        client.ehlo_or_helo_if_needed()
        if client.has_extn("starttls"):
            client.starttls(context=ssl.create_default_context())
            client.ehlo()  # RFC 3207: the session begins again
        elif (
            self._url.username
            and self._url.scheme == "smtp"
            and not is_loopback(str(self._url.hostname))
        ):
            raise NotDelivered("mail server: it offers no STARTTLS, so the password is not sent")
        if self._url.username:
            client.login(unquote(self._url.username), unquote(self._url.password or ""))


def build_message(payload: Mapping[str, Any], key: str, address: str) -> EmailMessage:
    """The mail of a payload: `case_id`, `to`, `subject`, `body`, `in_reply_to`, `references`.

    Line breaks in a subject become spaces, and message ids that no header can contain are left out.
    Raises Rejected if `to` is not a plain address.
    """
    if not _ADDRESS.fullmatch(payload["to"]):
        raise Rejected(f"{payload['to']!r} is not an address.")
    digest, domain = key_digest(key), address.partition("@")[2]
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"] = address, payload["to"]
    message["Subject"] = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", payload["subject"])
    # With the case's id, so that an answer to this mail can be linked to the case.
    message["Message-ID"] = f"<{payload['case_id']}.{digest}@{domain}>"
    message["Idempotency-Key"] = digest
    message["Date"] = formatdate()
    if payload.get("automatic", True):
        message["Auto-Submitted"] = "auto-replied"  # RFC 3834: other robots do not answer it
    thread = [*payload["references"], payload["in_reply_to"]]
    ids = [f"<{id}>" for id in dict.fromkeys(thread) if _MESSAGE_ID.fullmatch(id)]
    if ids:
        message["In-Reply-To"], message["References"] = ids[-1], " ".join(ids[-20:])
    message.set_content(payload["body"], cte="quoted-printable")
    return message


def _expect(answer: tuple[int, bytes], codes: range = range(200, 300)) -> str:
    text = f"{answer[0]} {answer[1].decode(errors='replace')}"
    if answer[0] in codes:
        return text
    raise Rejected(text) if 500 <= answer[0] < 600 else NotDelivered(text)
