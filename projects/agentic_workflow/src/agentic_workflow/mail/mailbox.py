"""A maildir: mails arrive in `new`, and move to `cur`, or to `refused` with the reason beside them.

    mailbox = Mailbox(Path("mailbox"))
    for path in mailbox.new():
        mailbox.done(path)
    mailbox.wait(stop, seconds=10)    # until something may have arrived

Who delivers writes to `tmp` and renames to `new`, as `deliver` does: a file in `new` is complete.
"""

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from threading import Event

from agentic_workflow.mail.parse import MAX_BYTES
from seedbed.errors import TooLarge
from seedbed.files import disk_errors, write_bytes, write_text


class Mailbox:
    """The maildir in `folder`, which is created; for one reader. Raises DiskError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._changes: Iterator[object] | None = None
        with disk_errors("The mailbox", folder):
            for name in ("tmp", "new", "cur", "refused"):
                (folder / name).mkdir(parents=True, exist_ok=True)

    def new(self) -> list[Path]:
        """The mails that have arrived, oldest first; hidden files are not mails."""
        with os.scandir(self.folder / "new") as entries:
            files = [e for e in entries if e.is_file() and not e.name.startswith(".")]
        return [Path(e.path) for e in sorted(files, key=lambda e: (e.stat().st_mtime_ns, e.name))]

    def read(self, path: Path) -> bytes:
        """The bytes of a mail. Raises TooLarge above 25 MB, before it is read into memory."""
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TooLarge(f"The mail {path.name} has {size:,} bytes; the limit is {MAX_BYTES:,}.")
        return path.read_bytes()

    def deliver(self, data: bytes, name: str = "") -> Path:
        """Put a mail into `new`, complete or not at all."""
        scratch = self.folder / "tmp" / (name or f"{time.time_ns()}-{uuid.uuid4().hex[:8]}.eml")
        with disk_errors("The mail", self.folder):
            write_bytes(scratch, data)
        return self._move(scratch, "new")

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

    def wait(self, stop: Event, seconds: float) -> None:
        """Return when a mail may have arrived, after `seconds`, or soon after `stop` is set.

        The first call starts the watcher and returns at once. It runs from then on, so that a later
        call also returns for what arrived since the call before.
        """
        from watchfiles import watch

        deadline = time.monotonic() + seconds
        if self._changes is None:
            self._changes = watch(
                self.folder / "new",
                watch_filter=None,
                rust_timeout=100,
                yield_on_timeout=True,
                debounce=200,
            )
            next(self._changes)
            return
        while not stop.is_set() and time.monotonic() < deadline and not next(self._changes):
            pass
