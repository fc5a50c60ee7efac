"""A folder of an IMAP server: mails arrive in it, and move to another folder once they are cases.

    mailbox = ImapMailbox("imaps://help%40shop.example:PASSWORD@mx.shop.example/INBOX", "Taken")
    for uid in mailbox.new():
        take(mailbox.read(uid))
        mailbox.done(uid)

Polls: every server can do that, and a new mail waits for `POLL_SECONDS` at most. Mails stay unread.
Any error closes the connection and raises Unavailable, with a message for an operator; `new` opens
the next one. Moving a mail after it was stored, and knowing it when it comes again, is up to
`engine/intake.py`.
"""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event
from urllib.parse import unquote, urlsplit

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from agentic_workflow.mail.parse import MAX_BYTES
from seedbed.errors import ConfigError, NotFound, TooLarge, Unavailable
from seedbed.server.service import is_loopback

POLL_SECONDS = 10.0
TIMEOUT = 20.0  # seconds for each answer of the server
_log = logging.getLogger(__name__)


class ImapMailbox:
    """A folder at imaps://USER:PASSWORD@HOST[:PORT]/FOLDER, for one reader at a time.

    With imap://, the connection is encrypted by STARTTLS, except on this machine.
    """

    def __init__(self, url: str, archive: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("imap", "imaps") or not (parts.hostname and parts.username):
            hint = "Write imaps://USER:PASSWORD@HOST/FOLDER, with %40 for an @ in USER or PASSWORD."
            raise ConfigError("WORKFLOW_IMAP_URL is not the URL of an IMAP folder.", hint=hint)
        self._host, self._port, self._tls = parts.hostname, parts.port, parts.scheme == "imaps"
        self._user, self._password = unquote(parts.username), unquote(parts.password or "")
        self._folder, self._archive = unquote(parts.path.strip("/")) or "INBOX", archive
        self._client: IMAPClient | None = None
        self._validity = 0  # of the folder's message numbers
        self._refused: set[tuple[int, int]] = set()

    def new(self) -> list[int]:
        """The numbers of the mails in the folder, oldest first, but for those that were refused."""
        with self._connection() as client:
            try:
                self._validity = int(client.select_folder(self._folder)[b"UIDVALIDITY"])
            except IMAPClientError as error:
                raise self._unavailable(f"cannot open the folder {self._folder!r}", error) from None
            uids = [int(uid) for uid in client.search("UNDELETED")]
        return sorted(uid for uid in uids if (self._validity, uid) not in self._refused)

    def read(self, uid: int) -> bytes:
        """The bytes of a mail. Raises TooLarge above 25 MB, and NotFound if it is gone."""
        with self._connection() as client:
            size = client.fetch([uid], ["RFC822.SIZE"]).get(uid, {}).get(b"RFC822.SIZE", 0)
            if size > MAX_BYTES:
                raise TooLarge(f"The mail has {size:,} bytes; the limit is {MAX_BYTES:,}.")
            data = client.fetch([uid], ["BODY.PEEK[]"]).get(uid, {}).get(b"BODY[]")
        if data is None:
            raise NotFound(f"Mail {uid} has left the folder {self._folder!r}.")
        return bytes(data)

    def done(self, uid: int) -> None:
        """Move a mail to the folder of taken mails."""
        with self._connection() as client:
            if client.has_capability("MOVE"):
                client.move([uid], self._archive)
                return
            client.copy([uid], self._archive)
            client.delete_messages([uid], silent=True)
            if client.has_capability("UIDPLUS"):  # a plain EXPUNGE would delete mails of others
                client.uid_expunge([uid])

    def refuse(self, uid: int, reason: str) -> None:
        """Leave a mail in the folder for a person, and log the reason, once per start."""
        self._refused.add((self._validity, uid))
        _log.error("A mail stays in the folder %r: %s", self._folder, reason)

    def wait(self, stop: Event, seconds: float = POLL_SECONDS) -> None:
        """Return after `seconds`, or once `stop` is set."""
        stop.wait(seconds)

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client:
            with suppress(OSError, IMAPClientError):
                client.shutdown()

    # ── the connection ──────────────────────────────────────────────────────────────────────

    @contextmanager
    def _connection(self) -> Iterator[IMAPClient]:
        """The connection, which `new` opens; an error closes it."""
        try:
            if self._client is None:
                self._client = self._connect()
            yield self._client
        except (OSError, IMAPClientError) as error:
            self.close()
            raise self._unavailable("does not answer as expected", error) from error
        except Unavailable:
            self.close()
            raise

    def _connect(self) -> IMAPClient:
        context = ssl.create_default_context()
        client = IMAPClient(
            self._host, self._port, ssl=self._tls, ssl_context=context, timeout=TIMEOUT
        )
        try:
            if not self._tls and not is_loopback(self._host):
                client.starttls(context)
            client.login(self._user, self._password)
            if not client.folder_exists(self._archive):
                client.create_folder(self._archive)
        except LoginError as error:
            client.shutdown()
            raise self._unavailable(f"refused the login of {self._user!r}", error) from None
        except BaseException:
            client.shutdown()
            raise
        return client

    def _unavailable(self, problem: str, error: Exception) -> Unavailable:
        answer = re.sub(r"""^b(["'])(.*)\1$""", r"\2", " ".join(str(error).split())).rstrip(".")
        return Unavailable(f"The IMAP server {self._host} {problem}: {answer}.")
