"""A local mail server that keeps every mail as a file, and fails on demand.

    with run_smtp_server(Path("var/sent"), 8025): ...      # smtp://127.0.0.1:8025
    received(Path("var/sent"))                             # {message id: how often it came}
    Path("var/sent/fail").write_text("drop")               # until the file is removed

It delivers nothing. Like most mail servers, it does not recognize a mail that comes again, so tests
can count.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any
from uuid import uuid4

from seedbed.errors import Conflict
from seedbed.files import write_bytes

ANSWERS = {"refuse": "550 5.7.1 Refused", "later": "451 4.3.2 Try again later"}
"""Ways to fail. Another is "drop": it keeps the mail, but closes the connection unanswered."""


class _Handler:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _mode(self) -> str:
        path = self._folder / "fail"
        return path.read_text().strip() if path.exists() else ""

    async def handle_RCPT(
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        envelope.rcpt_tos.append(address)
        return ANSWERS.get(self._mode(), "250 OK")

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        name = uuid4().hex
        write_bytes(self._folder / f"{name}.eml", envelope.content)
        if self._mode() == "drop":
            server.transport.close()
        return f"250 OK queued as {name}"


@contextmanager
def run_smtp_server(folder: Path, port: int) -> Iterator[None]:
    """Serve on 127.0.0.1 from a thread of this process. Raises Conflict if the port is in use."""
    from aiosmtpd.controller import Controller

    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # it has seven lines for each mail
    controller = Controller(_Handler(folder), hostname="127.0.0.1", port=port)
    try:
        controller.start()
    except OSError as error:
        raise Conflict(f"Cannot listen on port {port}: {error.strerror}.") from None
    try:
        yield
    finally:
        controller.stop()


def received(folder: Path) -> Counter[str]:
    """How often a mail with each Message-ID came, without the <>."""
    mails = (message_from_bytes(path.read_bytes()) for path in folder.glob("*.eml"))
    return Counter(str(mail["Message-ID"]).strip("<>") for mail in mails)
