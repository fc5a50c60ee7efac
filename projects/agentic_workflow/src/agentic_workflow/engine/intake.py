"""Takes mails in: from the watched mailbox, or one at a time from the API and the command line.

    intake = Intake(config, store, queue)
    intake.take(data)          # stored and queued; the same mail again changes nothing
    intake.watch(stop)         # the mailbox, until `stop` is set

A mail leaves the mailbox after it is stored and queued, so a crash can only bring it in twice, and
its content makes that harmless.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from agentic_workflow.config import Config
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.mail.mailbox import Mailbox
from agentic_workflow.mail.parse import parse_mail
from agentic_workflow.mail.sender import Trust
from agentic_workflow.store.store import CaseRecord, Store
from seedbed.errors import Busy, TooLarge, Unavailable

WAIT_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Intake:
    """Stores mails as cases and queues them."""

    def __init__(self, config: Config, store: Store, queue: CaseQueue) -> None:
        self._store, self._queue, self._trust = store, queue, _trust(config)
        self.mailbox = Mailbox(config.mailbox or Path(config.data_dir) / "mailbox")

    def take(self, data: bytes) -> CaseRecord:
        """The case of a mail, new or not.

        Raises TooLarge above 25 MB, and Unavailable or Busy if a database does not answer.
        """
        mail = parse_mail(data, self._trust)
        record, _ = self._store.receive(mail)
        if record.status == "received":  # also if it came before and the process died here
            number, automatic = record.number, mail.automatic
            self._queue.submit(record.id, mail.sender, number, automatic=automatic)
        return record

    def watch(self, stop: threading.Event) -> None:
        """Take in what arrives in the mailbox, until `stop` is set."""
        while not stop.is_set():
            for path in self.mailbox.new():
                if stop.is_set() or not self._take_file(path):
                    break
            self.mailbox.wait(stop, WAIT_SECONDS)

    def _take_file(self, path: Path) -> bool:
        """False if the databases do not answer; the mail stays in the mailbox."""
        try:
            self.take(self.mailbox.read(path))
        except TooLarge as error:
            self.mailbox.refuse(path, str(error))
        except FileNotFoundError:  # another process took it
            pass
        except (Unavailable, Busy, OSError) as error:
            _log.warning("%s stays in the mailbox: %s", path.name, error)
            return False
        else:
            self.mailbox.done(path)
        return True


def _trust(config: Config) -> Trust:
    domains = (domain.strip().lower() for domain in config.form_domains.split(","))
    return Trust(config.authserv_id, frozenset(filter(None, domains)))
