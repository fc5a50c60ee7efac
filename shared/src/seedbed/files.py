"""Files and folders that are replaced whole or not at all, and JSON lines read with their place.

    write_text(path, text)                    # the old content or the new one, never half of it
    with new_folder(path) as scratch: ...     # the same for a folder
    for place, row in read_json_lines(path): ...

A process killed at any instant, a full disk or a power cut leaves the old state or the new one.
What is written, and the locks against other writers, are up to the caller.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from seedbed.errors import BadInput, DiskError, SeedbedError

BOM = b"\xef\xbb\xbf"  # the byte order mark that some editors put before UTF-8
_FULL = ("No space left on device", "File too large", "Disk quota exceeded")
# What torch's and safetensors' writers say when the disk is full: their errors carry no errno.
_WRITERS = ("PytorchStreamWriter", "unexpected pos", "file write failed", "iostream error")


# ── writing ─────────────────────────────────────────────────────────────────────────────────


def write_text(path: Path, text: str) -> None:
    r"""Replace a file's content in one step, as UTF-8.

    >>> write_text(Path("note.txt"), "first\n")
    >>> write_text(Path("note.txt"), "second\n")
    >>> Path("note.txt").read_text()
    'second\n'
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file's content in one step; a failure leaves the old content and no scratch file.

    >>> write_bytes(Path("data.bin"), b"12")
    >>> Path("data.bin").read_bytes()
    b'12'
    """
    # The thread's number too: two threads may write the same file.
    scratch = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside `target` that replaces it when the block ends without an error.

    After an error `target` is as it was. Callers that may run at the same time hold a lock.

    >>> with new_folder(Path("model")) as scratch:
    ...     _ = (scratch / "weights.bin").write_bytes(b"12")
    >>> Path("model/weights.bin").read_bytes()
    b'12'
    """
    scratch, old = _beside(target, "tmp"), _beside(target, "old")
    if old.exists() and not target.exists():
        old.rename(target)  # a process was killed between the two renames of `replace_folder`
    shutil.rmtree(scratch, ignore_errors=True)  # left by a killed process
    try:
        scratch.mkdir(parents=True)
        yield scratch
        replace_folder(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def replace_folder(source: Path, target: Path) -> None:
    """Bring `source` to the disk and rename it to `target`, whose old content is removed.

    No system call that Python has exchanges two folders. Between two renames there is no `target`,
    and its old content is in `.NAME.old` beside it, from where `new_folder` puts it back.

    >>> Path("new").mkdir()
    >>> replace_folder(Path("new"), Path("current"))
    >>> Path("current").is_dir(), Path("new").exists()
    (True, False)
    """
    sync_folder(source)
    old = _beside(target, "old")
    if target.exists():
        if old.exists():
            shutil.rmtree(old)
        target.rename(old)
    try:
        source.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    sync(target.parent)
    if old.exists():
        shutil.rmtree(old, ignore_errors=True)


def _beside(target: Path, suffix: str) -> Path:
    """A hidden sibling; on the same disk, so that a rename is enough."""
    return target.with_name(f".{target.name.lstrip('.')}.{suffix}")


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, from memory to the disk.

    >>> sync(Path())
    """
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folder
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring a folder and everything below it from memory to the disk.

    >>> sync_folder(Path())
    """
    for path in (*folder.rglob("*"), folder):
        sync(path)


@contextmanager
def disk_errors(what: str, where: Path, *, hint: str = "Free some space.") -> Iterator[None]:
    """Turn the error of a refused write into a DiskError of one line; other errors pass.

    Recognizes OSError, and the errors of torch's and safetensors' writers by their text.

    >>> with disk_errors("The run", Path("out")):
    ...     raise OSError(27, "File too large")
    Traceback (most recent call last):
    seedbed.errors.DiskError: The run could not be written to out: File too large. Free some space.
    """
    try:
        yield
    except SeedbedError:
        raise
    except Exception as error:
        refusal = getattr(error, "strerror", None) or _refusal(str(error))
        if refusal is None:
            raise
        message = f"{what} could not be written to {where}: {refusal}."
        raise DiskError(message, hint=hint) from error


def _refusal(text: str) -> str | None:
    """Why a write failed, from the text of an error; None where it was something else."""
    if any(writer in text for writer in _WRITERS):
        return next((reason for reason in _FULL if reason in text), "the disk refused the data")
    return next((reason for reason in _FULL if reason in text), None)


# ── reading lines ───────────────────────────────────────────────────────────────────────────


def read_lines(path: Path, *, hint: str = "") -> Iterator[tuple[str, str]]:
    r"""(place, text) of each line that is not blank; the place is "FILE, line N", for errors.

    A byte order mark is skipped. Lines end with "\n" alone: JSON text may contain the other line
    separators of Unicode. Raises BadInput for a file that cannot be read, with `hint`, and for a
    line that is not UTF-8.

    >>> write_text(Path("terms.txt"), "one\n\ntwo\n")
    >>> list(read_lines(Path("terms.txt")))
    [('terms.txt, line 1', 'one'), ('terms.txt, line 3', 'two')]
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(BOM)
                place = f"{path}, line {number}"
                if not line.strip():
                    continue
                with _errors_at(place):
                    text = decode_utf8(line.rstrip(b"\r\n"))
                yield place, text
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.", hint=hint) from None


def read_json_lines(path: Path, *, hint: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    r"""(place, object) of each line of a .jsonl file; the place is "FILE, line N" for errors.

    Raises BadInput, with the place, for a line that is not a JSON object.

    >>> write_text(Path("cases.jsonl"), '{"id": 1}\n{"id": 2}\n')
    >>> [row for _, row in read_json_lines(Path("cases.jsonl"))]
    [{'id': 1}, {'id': 2}]
    """
    for place, line in read_lines(path, hint=hint):
        with _errors_at(place):
            row = parse_json(line)
        if not isinstance(row, dict):
            raise BadInput(f"{place}: a JSON {type(row).__name__}, not an object.")
        yield place, row


@contextmanager
def _errors_at(place: str) -> Iterator[None]:
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{place}: {error.message}", hint=error.hint) from None


def parse_json(line: str | bytes) -> Any:
    """The value of one line of JSON. Raises BadInput with the column; the caller adds the place.

    >>> parse_json('{"id": 1}')
    {'id': 1}
    >>> parse_json('{"id": ')
    Traceback (most recent call last):
    seedbed.errors.BadInput: Invalid JSON: Expecting value at column 8.
    """
    try:
        return json.loads(decode_utf8(line) if isinstance(line, bytes) else line)
    except json.JSONDecodeError as error:
        raise BadInput(f"Invalid JSON: {error.msg} at column {error.colno}.") from None
    except RecursionError:
        raise BadInput("The JSON is nested too deeply.") from None


def decode_utf8(data: bytes) -> str:
    """The text of UTF-8 bytes. Raises BadInput with the first wrong byte and where it is.

    >>> decode_utf8(b"caf\\xe9")
    Traceback (most recent call last):
    seedbed.errors.BadInput: Invalid UTF-8: byte 0xe9 at position 4. Save the file as UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = f"byte 0x{data[error.start]:02x} at position {error.start + 1}"
        raise BadInput(f"Invalid UTF-8: {place}.", hint="Save the file as UTF-8.") from None
