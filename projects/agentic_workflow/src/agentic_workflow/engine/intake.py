"""Takes mails in: from an IMAP server, or one at a time from the API and the command line.

    intake = Intake(config, store, queue)
    intake.take(data)          # stored and queued; the same mail again changes nothing
    intake.watch(stop)         # the folder of the IMAP server, until `stop` is set

A mail moves to another folder after it is stored and queued. A crash can only make it come in
twice, and since its Message-ID and content identify it, that is harmless.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from functools import partial

from agentic_workflow.case import CaseRecord
from agentic_workflow.config import Config
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.mail.parse import parse_mail
from agentic_workflow.store.store import Store
from seedbed.errors import public_message

POLL_SECONDS = 30.0
MAX_AGE = timedelta(days=7)
"""The desk does not answer older mails by itself, such as those of an INBOX at its first start."""
_log = logging.getLogger(__name__)


class Intake:
    """Stores mails as cases and queues them. Raises ConfigError for a wrong WORKFLOW_IMAP_URL."""

    def __init__(self, config: Config, store: Store, queue: CaseQueue) -> None:
        self._store, self._queue = store, queue
        self._authserv_id = config.authserv_id
        self._folder = None
        if config.imap_url:
            from agentic_workflow.mail.imap import ImapFolder

            self._folder = ImapFolder(config.imap_url, config.imap_taken)

    def take(
        self, data: bytes, *, by_mail_server: bool = False, max_age: timedelta | None = None
    ) -> CaseRecord:
        """The case of a mail, new or not.

        `by_mail_server` is whether the mail comes straight from the configured mail server. Only
        then do its `Authentication-Results` verify the sender: any other channel can add them. A
        mail that was sent before `max_age` is left to a person.
        Raises TooLarge above 25 MB, and Unavailable or Busy if a database does not answer.
        """
        mail = parse_mail(data, self._authserv_id if by_mail_server else "")
        if max_age and mail.sent_at and datetime.now(UTC) - mail.sent_at > max_age:
            warning = f"sent more than {max_age.days} days ago"
            mail = mail.model_copy(update={"warnings": (*mail.warnings, warning)})
        record, _ = self._store.receive(mail)
        if record.status == "received":  # also if it came before and the process died here
            self._queue.submit(record)
        return record

    def watch(self, stop: threading.Event, poll_seconds: float = POLL_SECONDS) -> None:
        """Take in what arrives in the folder, if there is one, until `stop` is set."""
        if self._folder is None:
            return
        take = partial(self.take, by_mail_server=True, max_age=MAX_AGE)
        while not stop.is_set():
            try:
                self._folder.poll(take, stop)
            except Exception as error:  # of any kind: mails wait in their folder meanwhile
                problem = public_message(error, _log)
                _log.warning("Mails wait. %s Next attempt in %d s.", problem, poll_seconds)
            stop.wait(poll_seconds)
