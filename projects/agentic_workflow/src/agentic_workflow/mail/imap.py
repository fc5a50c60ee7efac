"""A folder of an IMAP server: mails arrive in it, and move to another folder once they are cases.

    folder = ImapFolder("imaps://help%40shop.example:PASSWORD@mx.shop.example/INBOX", "Taken")
    folder.poll(take, stop)     # calls `take` with the bytes of each mail

Each poll is a connection of its own, so an error of any kind ends with the poll, and the next one
tries again. After a crash between `take` and the move, a mail comes twice; `take` must allow that.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from urllib.parse import unquote, urlsplit

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from agentic_workflow.mail.parse import MAX_BYTES
from seedbed.errors import Busy, ConfigError, DiskError, TooLarge, Unavailable, public_message
from seedbed.server.service import is_loopback

TIMEOUT = 20.0  # seconds for each answer of the server
REFUSED = "Refused"
"""The folder for mails that cannot become cases, such as those above 25 MB."""
_log = logging.getLogger(__name__)


class ImapFolder:
    """A folder at imaps://USER:PASSWORD@HOST[:PORT]/FOLDER, for one reader at a time.

    With imap://, the connection is encrypted by STARTTLS, except on this machine. The server has to
    support MOVE (RFC 6851).
    """

    def __init__(self, url: str, taken: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("imap", "imaps") or not (parts.hostname and parts.username):
            hint = "Write imaps://USER:PASSWORD@HOST/FOLDER, with %40 for an @ in USER or PASSWORD."
            raise ConfigError("WORKFLOW_IMAP_URL is not the URL of an IMAP folder.", hint=hint)
        self._host, self._port, self._tls = parts.hostname, parts.port, parts.scheme == "imaps"
        self._user, self._password = unquote(parts.username), unquote(parts.password or "")
        self._folder, self._taken = unquote(parts.path.strip("/")) or "INBOX", taken

    def poll(self, take: Callable[[bytes], object], stop: Event) -> None:
        """Pass each mail to `take`, oldest first, and move it to the folder of taken mails.

        A mail that `take` refuses moves to `Refused`. Raises Unavailable, Busy or DiskError if the
        server or a database does not answer; the mail stays in the folder then.
        """
        with self._session() as client:
            for uid in sorted(client.search("UNDELETED")):
                if stop.is_set():
                    return
                try:
                    if (data := _read(client, uid)) is None:
                        continue
                    take(data)
                except (Unavailable, Busy, DiskError, OSError, IMAPClientError):
                    raise
                except Exception as error:  # one mail must not stop the others
                    _log.error("A mail moves to %r: %s", REFUSED, public_message(error, _log))
                    client.move([uid], REFUSED)
                else:
                    client.move([uid], self._taken)

    @contextmanager
    def _session(self) -> Iterator[IMAPClient]:
        """A connection with the folder selected. Raises Unavailable, also for errors inside."""
        context = ssl.create_default_context()
        try:
            client = IMAPClient(
                self._host, self._port, ssl=self._tls, ssl_context=context, timeout=TIMEOUT
            )
            try:
                if not self._tls and not is_loopback(self._host):
                    client.starttls(context)
                client.login(self._user, self._password)
                for folder in (self._taken, REFUSED):
                    if not client.folder_exists(folder):
                        client.create_folder(folder)
                client.select_folder(self._folder)
                yield client
            finally:
                with suppress(OSError, IMAPClientError):
                    client.shutdown()
        except (OSError, IMAPClientError) as error:
            answer = " ".join(str(error).split()).rstrip(".")
            folder = f"{self._user} on {self._host}, folder {self._folder!r}"
            raise Unavailable(f"The mailbox cannot be read ({folder}): {answer}.") from None


def _read(client: IMAPClient, uid: int) -> bytes | None:
    """The bytes of a mail, or None if it has left the folder. Raises TooLarge above 25 MB."""
    size = client.fetch([uid], ["RFC822.SIZE"]).get(uid, {}).get(b"RFC822.SIZE", 0)
    if size > MAX_BYTES:
        raise TooLarge(f"The mail has {size:,} bytes; the limit is {MAX_BYTES:,}.")
    data = client.fetch([uid], ["BODY.PEEK[]"]).get(uid, {}).get(b"BODY[]")
    return None if data is None else bytes(data)
