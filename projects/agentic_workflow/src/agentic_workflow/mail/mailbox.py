"""Where mails arrive: a Maildir, or anything else that is a `Mailbox`, such as `imap.py`.

    mailbox = Maildir(Path("mailbox"))
    for path in mailbox.new():
        mailbox.done(path)
    mailbox.wait(stop, seconds=10)    # until something may have arrived

Mails arrive in the folder `new`, and move to `cur`, or to `refused` with the reason beside them.
Deliver a mail by writing it to `tmp` and renaming it to `new`: a file in `new` is complete.
"""

import os
import time
import uuid
from pathlib import Path
from threading import Event
from typing import Protocol, TypeVar

from agentic_workflow.mail.parse import MAX_BYTES
from seedbed.errors import NotFound, TooLarge
from seedbed.files import disk_errors, write_text

Name = TypeVar("Name")  # of a mail in the mailbox


class Mailbox(Protocol[Name]):
    """Where mails arrive. Every method may raise Unavailable; the mails stay there then."""

    def new(self) -> list[Name]:
        """The mails that have arrived, oldest first."""

    def read(self, name: Name, /) -> bytes:
        """The bytes of a mail. Raises TooLarge above 25 MB, and NotFound if it is gone."""

    def done(self, name: Name, /) -> object:
        """Put a mail away that is a case now."""

    def refuse(self, name: Name, reason: str, /) -> object:
        """Put a mail aside, for a person, that cannot become a case."""

    def wait(self, stop: Event) -> None:
        """Return when a mail may have arrived, or once `stop` is set."""

    def close(self) -> None:
        """Release what is open."""


class Maildir:
    """The maildir in `folder`, which is created; for one reader. Raises DiskError."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._listed = folder, 0
        with disk_errors("The mailbox", folder):
            for name in ("tmp", "new", "cur", "refused"):
                (folder / name).mkdir(parents=True, exist_ok=True)

    def new(self) -> list[Path]:
        """The mails that have arrived, oldest first; hidden files are not mails."""
        self._listed = self._last_change()
        with os.scandir(self.folder / "new") as entries:
            files = [e for e in entries if e.is_file() and not e.name.startswith(".")]
        return [Path(e.path) for e in sorted(files, key=lambda e: (e.stat().st_mtime_ns, e.name))]

    def wait(self, stop: Event, seconds: float = 5.0) -> None:
        """Return when `new` has changed since its listing, after `seconds`, or once `stop` is set.

        Polls, because no events arrive from network file systems and Docker's bind mounts.
        """
        deadline = time.monotonic() + seconds
        while self._last_change() == self._listed and time.monotonic() < deadline:
            if stop.wait(0.2):
                return

    def read(self, path: Path) -> bytes:
        """The bytes of a mail. Raises TooLarge above 25 MB, and NotFound if it is gone."""
        try:
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise TooLarge(f"The mail has {size:,} bytes; the limit is {MAX_BYTES:,}.")
            return path.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"The mail {path.name} has left the mailbox.") from None

    def done(self, path: Path) -> Path:
        """Move a mail to `cur`."""
        return self._move(path, "cur")

    def refuse(self, path: Path, reason: str) -> Path:
        """Move a mail to `refused`, and write the reason to NAME.txt beside it."""
        target = self._move(path, "refused")
        with disk_errors("The reason", target):
            write_text(target.with_name(f"{target.name}.txt"), f"{reason}\n")
        return target

    def close(self) -> None:
        """Nothing is open."""

    def _move(self, path: Path, folder: str) -> Path:
        target = self.folder / folder / path.name
        if target.exists():  # another mail of that name; a rename would replace it
            target = target.with_name(f"{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
        with disk_errors("The mail", target):
            path.rename(target)
        return target

    def _last_change(self) -> int:
        return (self.folder / "new").stat().st_mtime_ns
