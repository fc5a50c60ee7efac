"""Atomic writes under failures, and JSON lines whose errors name the line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from seedbed.errors import BadInput, DiskError
from seedbed.files import (
    disk_errors,
    new_folder,
    read_json,
    read_json_lines,
    write_bytes,
)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder with one file of old content."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("old")
    return folder


def content(folder: Path) -> dict[str, str]:
    """The text of every file below a folder, by relative path."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text("utf-8") for path in paths}


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_write_bytes_keeps_old_content_when_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write_bytes(tmp_path / "a", b"old")
    monkeypatch.setattr(os if call == "fsync" else Path, call, fail)
    with pytest.raises(OSError, match="No space"):
        write_bytes(tmp_path / "a", b"new")
    assert content(tmp_path) == {"a": "old"}


def test_new_folder_replaces_target_when_the_block_ends(tmp_path: Path, target: Path) -> None:
    with new_folder(target) as scratch:
        (scratch / "deep").mkdir()
        (scratch / "deep" / "weights").write_text("new")
        assert content(target) == {"weights": "old"}
    assert content(tmp_path) == {"model/deep/weights": "new"}


def test_new_folder_restores_target_after_a_kill_between_renames(
    tmp_path: Path, target: Path
) -> None:
    target.rename(tmp_path / ".model.old")
    with pytest.raises(ZeroDivisionError), new_folder(target) as scratch:
        (scratch / "weights").write_text(str(1 / 0))  # an error leaves the target as it was
    assert content(tmp_path) == {"model/weights": "old"}


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (RuntimeError("PytorchStreamWriter failed writing file"), "the disk refused the data"),
        (OSError("8704 requested and 736 written"), "the disk refused the data"),
        (RuntimeError("I/O error: File too large (os error 27)"), "File too large"),
    ],
)
def test_disk_errors_become_one_line(tmp_path: Path, error: Exception, why: str) -> None:
    with pytest.raises(DiskError, match=why) as caught, disk_errors("The adapter", tmp_path):
        raise error
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("Free some space.")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": ', r"a\.jsonl, line 2: Invalid JSON: Expecting value at column 8\.$"),
        (b'{"id": "a', r"Invalid JSON: Unterminated string starting at column 8\.$"),
        (b"[1]", r"a\.jsonl, line 2: a JSON list, not an object\.$"),
        (b'{"id": "\xff"}', r"a\.jsonl, line 2: Invalid UTF-8: byte 0xff at position 9\."),
        (b'{"a":' * 100_000, r"a\.jsonl, line 2: The JSON is nested too deeply\.$"),
    ],
    ids=["cut", "cut text", "list", "latin-1", "deep"],
)
def test_read_json_lines_names_the_line_in_errors(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "a.jsonl"
    first = '\ufeff{"id": "\u2028"}\r\n'.encode()
    path.write_bytes(first + line + b"\n")
    rows = read_json_lines(path)
    assert next(rows) == (f"{path}, line 1", {"id": "\u2028"})
    with pytest.raises(BadInput, match=reason):
        next(rows)


@pytest.mark.parametrize("data", [b"{", b"", b"\xff", b"[" * 100_000])
def test_read_json_of_a_damaged_file_is_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(BadInput, match=r"a is not valid JSON\. Remove it\.$"):
        read_json(tmp_path / "a", hint="Remove it.")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b")
    with pytest.raises(BadInput, match=r"b cannot be read: No such file.* Pass --qa FILE\."):
        list(read_json_lines(tmp_path / "b", hint="Pass --qa FILE."))
