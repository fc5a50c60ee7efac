"""Takes mails in: from the watched mailbox, or one at a time from the API and the command line.

    intake = Intake(config, store, queue)
    intake.take(data)          # stored and queued; the same mail again changes nothing
    intake.watch(stop)         # the mailbox, until `stop` is set

A mail leaves the mailbox after it is stored and queued, so a crash can only bring it in twice, and
its Message-ID and content make that harmless.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from agentic_workflow.config import Config
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.mail.mailbox import Mailbox, Maildir
from agentic_workflow.mail.parse import parse_mail
from agentic_workflow.mail.sender import Trust
from agentic_workflow.store.store import CaseRecord, Store
from seedbed.errors import Busy, DiskError, NotFound, TooLarge, Unavailable, public_message

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds between attempts while the mailbox or a database is unavailable: 1, 2, 4 …"""
TRANSIENT = (Unavailable, Busy, DiskError, OSError)
_log = logging.getLogger(__name__)


class Intake:
    """Stores mails as cases and queues them."""

    def __init__(self, config: Config, store: Store, queue: CaseQueue) -> None:
        self._store, self._queue, self._trust = store, queue, _trust(config)
        self.mailbox = open_mailbox(config)

    def take(self, data: bytes, *, by_mail_server: bool = False) -> CaseRecord:
        """The case of a mail, new or not.

        `by_mail_server` is whether the mail comes straight from the configured mail server. Only
        then do its `Authentication-Results` verify the sender: any other channel can add them.
        Raises TooLarge above 25 MB, and Unavailable or Busy if a database does not answer.
        """
        trust = self._trust if by_mail_server else replace(self._trust, authserv_id="")
        mail = parse_mail(data, trust)
        record, _ = self._store.receive(mail)
        if record.status == "received":  # also if it came before and the process died here
            number, automatic = record.number, mail.automatic
            self._queue.submit(record.id, mail.sender, number, automatic=automatic)
        return record

    def watch(self, stop: threading.Event) -> None:
        """Take in what arrives in the mailbox, until `stop` is set."""
        pause = FIRST_PAUSE
        while not stop.is_set():
            try:
                for name in self.mailbox.new():
                    if stop.is_set():
                        break
                    self._take_from_mailbox(name)
                    pause = FIRST_PAUSE
                self.mailbox.wait(stop)
            except TRANSIENT as error:
                _log.warning("Mails stay in the mailbox. %s Next attempt in %d s.", error, pause)
                stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        self.mailbox.close()

    def _take_from_mailbox(self, name: Any) -> None:
        try:
            self.take(self.mailbox.read(name), by_mail_server=True)
        except NotFound:  # another process took it
            return
        except TRANSIENT:
            raise
        except TooLarge as error:
            self.mailbox.refuse(name, str(error))
        except Exception as error:  # one mail must not stop the others
            self.mailbox.refuse(name, f"{type(error).__name__}: {public_message(error, _log)}")
        else:
            self.mailbox.done(name)


def open_mailbox(config: Config) -> Mailbox[Any]:
    """The mailbox that is configured. Raises ConfigError."""
    if config.imap_url:
        from agentic_workflow.mail.imap import ImapMailbox

        return ImapMailbox(config.imap_url, config.imap_taken)
    return Maildir(config.mailbox or Path(config.data_dir) / "mailbox")


def _trust(config: Config) -> Trust:
    domains = (domain.strip().lower() for domain in config.form_domains.split(","))
    return Trust(config.authserv_id, frozenset(filter(None, domains)))
