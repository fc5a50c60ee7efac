"""Atomic replacement of files and folders, JSON, and JSON lines whose errors name the line.

    write_text(path, text)                        # replaces the file in one step
    with new_folder(path) as scratch: ...         # the same for a folder
    for place, row in read_json_lines(path): ...  # place: "FILE, line N"

A killed process, a full disk or a power cut leaves the old content or the new one, never a mixture.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from seedbed.errors import BadInput, DiskError, SeedbedError

if TYPE_CHECKING:
    from pydantic import BaseModel

Model = TypeVar("Model", bound="BaseModel")
BOM = b"\xef\xbb\xbf"
"""The byte order mark that some editors put before UTF-8."""
_DISK_FULL = ("No space left on device", "File too large", "Disk quota exceeded")
# How the errors of torch, safetensors and numpy for a failed write, without errno, are recognized.
_REFUSALS = ("StreamWriter", "unexpected pos", "write failed", "iostream error", "requested and")


def write_text(path: Path, text: str) -> None:
    """Replace a file's content in one step, as UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file's content in one step; after a failure the old content remains."""
    # With the thread's id, as two threads may write the same file.
    scratch = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        # 1. Write a scratch file and bring it to the disk: after a power cut, a rename may be on
        # the disk without the content.
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # 2. Rename it, which is atomic, and bring the new name to the disk too.
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
        raise
    sync(path.parent)


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `target` when the block ends without an error.

    After an error `target` is unchanged. Concurrent callers need a lock.
    """
    scratch, old = _beside(target, "tmp"), _beside(target, "old")
    if old.exists() and not target.exists():
        old.rename(target)  # a process was killed between the two renames of `replace_folder`
    shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
    try:
        scratch.mkdir(parents=True)
        yield scratch
        replace_folder(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def replace_folder(source: Path, target: Path) -> None:
    """Bring `source` to the disk and rename it to `target`, replacing a folder of that name.

    Python has no call that exchanges two folders. So there is an instant without `target`, in which
    its old content is in `.NAME.old` beside it; `new_folder` restores it after a crash.
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
    return target.with_name(f".{target.name.lstrip('.')}.{suffix}")


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, from memory to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring a folder and everything below it from memory to the disk."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


@contextmanager
def disk_errors(what: str, where: Path, *, hint: str = "Free some space.") -> Iterator[None]:
    """Turn the error of a failed write into a DiskError: `what` could not be written to `where`.

    Recognizes OSError, and by their text the errors of torch, safetensors and numpy. Others pass.
    """
    try:
        yield
    except SeedbedError:
        raise
    except Exception as error:
        cause = getattr(error, "strerror", None) or _disk_error(str(error))
        if cause is None:
            raise
        message = f"{what} could not be written to {where}: {cause}."
        raise DiskError(message, hint=hint) from error


def _disk_error(text: str) -> str | None:
    reason = next((reason for reason in _DISK_FULL if reason in text), None)
    if reason is None and any(writer in text for writer in _REFUSALS):
        return "the disk refused the data"
    return reason


def read_json(path: Path, *, hint: str = "") -> Any:
    """The value in a JSON file. Raises FileNotFoundError, or BadInput with `hint` if damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise BadInput(f"{path} is not valid JSON.", hint=hint) from None


def read_json_lines(path: Path, *, hint: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    r"""Yield (place, object) for each line of a .jsonl file; a place is "FILE, line N".

    A byte order mark and blank lines are skipped. Only "\n" ends a line, since JSON strings may
    contain Unicode's other line separators. Raises BadInput for a file that cannot be read, with
    `hint`, and for a line that is not a JSON object in UTF-8, with its place.

    >>> write_text(Path("cases.jsonl"), '{"id": 1}\n{"id": 2}\n')
    >>> [row for _, row in read_json_lines(Path("cases.jsonl"))]
    [{'id': 1}, {'id': 2}]
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                line = line.removeprefix(BOM) if number == 1 else line
                if not line.strip():
                    continue
                place = f"{path}, line {number}"
                try:
                    row = parse_json(line.rstrip(b"\r\n"))
                except BadInput as error:
                    raise BadInput(f"{place}: {error.message}", hint=error.hint) from None
                if not isinstance(row, dict):
                    raise BadInput(f"{place}: a JSON {type(row).__name__}, not an object.")
                yield place, row
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}.", hint=hint) from None


def read_models(path: Path, model: type[Model]) -> Iterator[tuple[str, Model]]:
    """Yield (place, instance of a pydantic model) for each line of a .jsonl file.

    Raises BadInput as `read_json_lines` does, and for the first wrong field, with its place.
    """
    from pydantic import ValidationError

    for place, row in read_json_lines(path):
        try:
            yield place, model.model_validate(row)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            raise BadInput(f"{place}: {field}: {first['msg']}.") from None


def parse_json(line: str | bytes) -> Any:
    """The value of one line of JSON. Raises BadInput with the column."""
    try:
        return json.loads(decode_utf8(line) if isinstance(line, bytes) else line)
    except json.JSONDecodeError as error:
        problem = error.msg.removesuffix(" at")  # some of the messages end with it
        raise BadInput(f"Invalid JSON: {problem} at column {error.colno}.") from None
    except RecursionError:
        raise BadInput("The JSON is nested too deeply.") from None


def decode_utf8(data: bytes) -> str:
    """Decode UTF-8. Raises BadInput with the first invalid byte and its position, from 1."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{data[error.start]:02x} at position {error.start + 1}"
        raise BadInput(f"Invalid UTF-8: {byte}.", hint="Save the file as UTF-8.") from None
