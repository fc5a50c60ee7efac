"""A maildir: mails arrive in `new`, and move to `cur`, or to `refused` with the reason beside them.

    mailbox = Mailbox(Path("mailbox"))
    for path in mailbox.new():
        mailbox.done(path)
    mailbox.wait(stop, seconds=10)    # until something may have arrived

Deliver a mail by writing it to `tmp` and renaming it to `new`: a file in `new` is complete.
"""

import os
import time
import uuid
from pathlib import Path
from threading import Event

from agentic_workflow.mail.parse import MAX_BYTES
from seedbed.errors import TooLarge
from seedbed.files import disk_errors, write_text


class Mailbox:
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

    def wait(self, stop: Event, seconds: float) -> None:
        """Return when `new` has changed since its listing, after `seconds`, or once `stop` is set.

        Polls, because no events arrive from network file systems and Docker's bind mounts.
        """
        deadline = time.monotonic() + seconds
        while self._last_change() == self._listed and time.monotonic() < deadline:
            if stop.wait(0.2):
                return

    def read(self, path: Path) -> bytes:
        """The bytes of a mail. Raises TooLarge above 25 MB, before it is read into memory."""
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TooLarge(f"The mail {path.name} has {size:,} bytes; the limit is {MAX_BYTES:,}.")
        return path.read_bytes()

    def done(self, path: Path) -> Path:
        """Move a mail to `cur`."""
        return self._move(path, "cur")

    def refuse(self, path: Path, reason: str) -> Path:
        """Move a mail to `refused`, and write the reason to NAME.txt beside it."""
        target = self._move(path, "refused")
        with disk_errors("The reason", target):
            write_text(target.with_name(f"{target.name}.txt"), f"{reason}\n")
        return target

    def _move(self, path: Path, folder: str) -> Path:
        target = self.folder / folder / path.name
        if target.exists():  # another mail of that name; a rename would replace it
            target = target.with_name(f"{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
        with disk_errors("The mail", target):
            path.rename(target)
        return target

    def _last_change(self) -> int:
        return (self.folder / "new").stat().st_mtime_ns
