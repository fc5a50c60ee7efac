"""The maildir: arrival by rename, moves, waiting, many files, a full disk."""

import os
import resource
import threading
import time

import pytest

from agentic_workflow.mail.mailbox import Maildir
from agentic_workflow.mail.parse import MAX_BYTES
from seedbed.errors import DiskError, TooLarge


def deliver(mailbox, data, name="1.eml"):
    path = mailbox.folder / "new" / name
    path.write_bytes(data)
    return path


def test_mail_moves_from_new_to_cur(tmp_path):
    mailbox = Maildir(tmp_path / "mailbox")
    path = deliver(mailbox, b"Subject: x\n\nHello")
    assert mailbox.new() == [path] and mailbox.read(path) == b"Subject: x\n\nHello"
    moved = mailbox.done(path)
    assert moved == mailbox.folder / "cur" / path.name and moved.read_bytes().endswith(b"Hello")
    assert mailbox.new() == []


def test_refused_mail_is_beside_its_reason(tmp_path):
    mailbox = Maildir(tmp_path)
    path = mailbox.refuse(deliver(mailbox, b"x", "1.eml"), "too large")
    assert path == tmp_path / "refused" / "1.eml"
    assert path.with_name("1.eml.txt").read_text() == "too large\n"


def test_mails_of_one_name_do_not_replace_each_other(tmp_path):
    mailbox = Maildir(tmp_path)
    for data in (b"a", b"b"):
        mailbox.done(deliver(mailbox, data, "1.eml"))
    assert sorted(p.read_bytes() for p in (tmp_path / "cur").iterdir()) == [b"a", b"b"]


def test_new_mails_are_listed_oldest_first_without_unfinished_ones(tmp_path):
    mailbox = Maildir(tmp_path)
    for age, name in ((1, "b.eml"), (2, "c.eml"), (3, "a.eml")):
        os.utime(deliver(mailbox, b"x", name), (1000 - age, 1000 - age))
    (tmp_path / "tmp" / "slow.eml").write_bytes(b"Subj")
    (tmp_path / "new" / ".hidden").write_bytes(b"x")
    (tmp_path / "new" / "folder").mkdir()
    assert [path.name for path in mailbox.new()] == ["a.eml", "c.eml", "b.eml"]


@pytest.mark.slow
def test_ten_thousand_mails_are_listed_at_once(tmp_path):
    mailbox = Maildir(tmp_path)
    for number in range(10_000):
        (tmp_path / "new" / f"{number}.eml").touch()
    started = time.thread_time()
    paths = mailbox.new()
    assert len(paths) == 10_000 and time.thread_time() - started < 10
    for path in paths[:100]:
        mailbox.done(path)
    assert len(mailbox.new()) == 9_900


def test_wait_returns_when_a_slow_mail_is_complete(tmp_path):
    mailbox, stop = Maildir(tmp_path), threading.Event()
    assert mailbox.new() == []
    half_written = threading.Event()

    def deliver_slowly() -> None:
        with (tmp_path / "tmp" / "1.eml").open("wb") as file:
            file.write(b"Subject")
            file.flush()
            half_written.set()
            file.write(b": x\n\nHello")
        (tmp_path / "tmp" / "1.eml").rename(tmp_path / "new" / "1.eml")

    thread = threading.Thread(target=deliver_slowly)
    started = time.monotonic()
    thread.start()
    mailbox.wait(stop, 30)
    thread.join()
    assert time.monotonic() - started < 20
    assert [mailbox.read(path) for path in mailbox.new()] == [b"Subject: x\n\nHello"]


def test_wait_returns_for_a_mail_that_arrived_after_the_listing(tmp_path):
    mailbox, stop = Maildir(tmp_path), threading.Event()
    mailbox.new()
    deliver(mailbox, b"x")
    started = time.monotonic()
    mailbox.wait(stop, 60)
    assert time.monotonic() - started < 30


def test_wait_ends_at_its_time_and_when_stopped(tmp_path):
    mailbox, stop = Maildir(tmp_path), threading.Event()
    mailbox.new()
    mailbox.wait(stop, 0.2)
    stop.set()
    started = time.monotonic()
    mailbox.wait(stop, 60)
    assert time.monotonic() - started < 30


def test_full_disk_refuses_without_a_reason(tmp_path):
    mailbox = Maildir(tmp_path)
    path = deliver(mailbox, b"x")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(DiskError, match="reason could not be written"):
            mailbox.refuse(path, "x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert mailbox.new() == []
    assert [p.name for p in (tmp_path / "refused").iterdir()] == [path.name]  # moved all the same


def test_mail_above_the_limit_is_not_read(tmp_path):
    mailbox = Maildir(tmp_path)
    path = tmp_path / "new" / "1.eml"
    with path.open("wb") as file:
        file.truncate(30 * 1024**2)
    assert path.stat().st_size > MAX_BYTES
    with pytest.raises(TooLarge, match="limit is 26,214,400"):
        mailbox.read(path)
