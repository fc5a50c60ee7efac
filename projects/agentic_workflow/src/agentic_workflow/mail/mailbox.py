"""A maildir: mails arrive in `new` and move to `cur`, or to `refused` with the reason beside them.

    mailbox = Mailbox(Path("mailbox"))
    for path in mailbox.new():
        mailbox.done(path)
    mailbox.wait(stop, seconds=10)    # until something may have arrived

Programs that deliver write to `tmp` and rename to `new`, as `deliver` does: a file in `new` is
complete. What a mail contains is up to `parse`.
"""

from __future__ import annotations

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
        entries = []
        with os.scandir(self.folder / "new") as found:
            for entry in found:
                try:
                    if entry.is_file() and not entry.name.startswith("."):
                        entries.append((entry.stat().st_mtime_ns, entry.name))
                except FileNotFoundError:
                    continue  # moved meanwhile
        return [self.folder / "new" / name for _, name in sorted(entries)]

    def read(self, path: Path) -> bytes:
        """The bytes of a mail. Raises TooLarge above 25 MB, without reading it."""
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise TooLarge(f"{path.name} has {size:,} bytes; the limit is {MAX_BYTES:,}.")
        return path.read_bytes()

    def deliver(self, data: bytes, name: str = "") -> Path:
        """Put a mail into `new`, complete or not at all."""
        name = name or f"{time.time_ns()}.{uuid.uuid4().hex[:8]}.eml"
        with disk_errors("The mail", self.folder):
            scratch = self.folder / "tmp" / name
            write_bytes(scratch, data)
            return self._move(scratch, "new")

    def done(self, path: Path) -> Path:
        """Move a mail to `cur`. A mail that is not in `new` any more is no error."""
        return self._move(path, "cur")

    def refuse(self, path: Path, reason: str) -> Path:
        """Move a mail to `refused`, and write the reason into NAME.txt beside it."""
        target = self._move(path, "refused")
        write_text(target.with_name(f"{target.name}.txt"), f"{reason}\n")
        return target

    def _move(self, path: Path, folder: str) -> Path:
        target = self.folder / folder / path.name
        if target.exists():  # another mail of that name
            target = target.with_name(f"{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
        with disk_errors("The mail", target):
            try:
                path.rename(target)
            except FileNotFoundError:
                if not target.parent.is_dir():
                    raise
        return target

    def wait(self, stop: Event, seconds: float) -> None:
        """Return when a mail may have arrived, after `seconds`, or soon after `stop` is set.

        The watcher starts with the first call, which therefore returns at once; later calls also
        return for what arrived since the call before.
        """
        deadline = time.monotonic() + seconds
        if self._changes is None:
            self._changes = self._watch()
            next(self._changes, None)
            return
        while not stop.is_set() and time.monotonic() < deadline:
            if next(self._changes, True):
                return

    def _watch(self) -> Iterator[object]:
        from watchfiles import watch

        return watch(
            self.folder / "new",
            watch_filter=None,
            rust_timeout=200,
            yield_on_timeout=True,
            debounce=200,
            raise_interrupt=True,
            recursive=False,
        )
