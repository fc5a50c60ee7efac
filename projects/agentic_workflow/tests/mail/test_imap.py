"""A real IMAP server (pymap) on this machine: each mail is one case, whatever is cut or killed."""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from imapclient import IMAPClient
from pysasl.hashing import BuiltinHash

from agentic_workflow.config import Config
from agentic_workflow.engine.desk import open_store
from agentic_workflow.engine.intake import Intake
from agentic_workflow.engine.queue import CaseQueue
from agentic_workflow.mail.imap import ImapFolder
from seedbed.errors import ConfigError, Unavailable
from seedbed.settings import load
from seedbed.testing.launch import closed_port, free_port

PASSWORD, NOW = "pa@ss/word", datetime.now(UTC)
SERVE = "from pymap.main import main; main()"
INTAKE = """
import threading
from agentic_workflow.config import Config
from agentic_workflow.engine.desk import open_store
from agentic_workflow.engine.intake import Intake
from agentic_workflow.engine.queue import CaseQueue
from seedbed.settings import load
config = load(Config)
Intake(config, open_store(config), CaseQueue(config)).watch(threading.Event(), 0.2)
"""


class Account:
    """A pymap server whose mails are in a folder, so that they survive its death, and one user."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.user = folder, free_port(), "help@shop.example"
        folder.mkdir(exist_ok=True)
        secret = BuiltinHash(rounds=10).hash(PASSWORD)
        (folder / "pymap-etc-passwd").write_text(f"{self.user}:::::box:\n")
        (folder / "pymap-etc-shadow").write_text(f"{self.user}:{secret}:::::::\n")

    def start(self) -> None:
        for lock in self.folder.rglob("*.lock"):  # of a killed server, which counts for ten minutes
            lock.unlink()
        command = [sys.executable, "-c", SERVE, "--host", "127.0.0.1", "--port", str(self.port)]
        off = ["--no-tls", "--no-service", "managesieve", "--no-service", "admin"]
        self.process = subprocess.Popen(
            [*command, *off, "maildir", str(self.folder)], stderr=subprocess.DEVNULL
        )
        until(self._connects)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _connects(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def url(self, *, port: int = 0, password: str = PASSWORD) -> str:
        login = f"{quote(self.user, safe='')}:{quote(password, safe='')}"
        return f"imap://{login}@localhost:{port or self.port}"

    @contextmanager
    def client(self) -> Iterator[Any]:
        with IMAPClient("127.0.0.1", self.port, ssl=False, timeout=30) as client:
            client.login(self.user, PASSWORD)
            yield client

    def deliver(self, *mails: bytes) -> None:
        with self.client() as client:
            for mail in mails:
                client.append("INBOX", mail)

    def subjects(self, folder: str) -> list[str]:
        with self.client() as client:
            client.select_folder(folder, readonly=True)
            mails = client.fetch(client.search("UNDELETED"), ["ENVELOPE"]).values()
        return sorted(mail[b"ENVELOPE"].subject.decode() for mail in mails)


def until(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)
    return value


def mail(number: int, text: str = "Where is it?", date: datetime = NOW) -> bytes:
    lines = f"From: c{number}@mail.example", f"Subject: {number}", f"Message-ID: <{number}@x>"
    lines += (f"Date: {format_datetime(date)}",)
    return "\r\n".join([*lines, "", text, ""]).encode("latin-1")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def account(tmp_path: Path, stack: ExitStack) -> Account:
    account = Account(tmp_path / "mails")
    account.start()
    stack.callback(lambda: account.kill())
    return account


def poll(url: str, take: Callable[[bytes], object] = lambda _: None) -> None:
    ImapFolder(url, "Taken").poll(take, threading.Event())


def test_mails_are_read_as_they_came_and_move_when_taken(account: Account) -> None:
    account.deliver(mail(1, "Grüße"), mail(2))
    taken: list[bytes] = []
    poll(account.url(), taken.append)
    assert [data.splitlines() for data in taken] == [
        mail(1, "Grüße").splitlines(),
        mail(2).splitlines(),
    ]
    assert (account.subjects("INBOX"), account.subjects("Taken")) == ([], ["1", "2"])


def test_mail_that_cannot_be_taken_is_put_aside_and_waits_for_a_database(account: Account) -> None:
    def take(data: bytes) -> None:
        if b"Subject: 1" in data:
            raise ValueError("a bug")
        if b"Subject: 3" in data:
            raise Unavailable("The database is away.")

    account.deliver(mail(1), mail(2), mail(3))
    with pytest.raises(Unavailable, match="database"):
        poll(account.url(), take)
    assert [account.subjects(f) for f in ("INBOX", "Refused", "Taken")] == [["3"], ["1"], ["2"]]


def test_message_names_the_folder_without_the_password(account: Account) -> None:
    with closed_port() as port:
        urls = f"{account.url()}/Lost", account.url(password="wr0ng"), account.url(port=port)
        for url in urls:
            with pytest.raises(Unavailable, match="on localhost, folder") as error:
                poll(url)
            assert PASSWORD not in str(error.value) and "wr0ng" not in str(error.value)
            assert "\n" not in str(error.value)


@pytest.mark.parametrize("url", ["http://a:b@host", "imaps://host", "imaps://", "host"])
def test_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="WORKFLOW_IMAP_URL"):
        ImapFolder(url, "Taken")


def test_intake_survives_errors_of_any_kind(
    tmp_path: Path, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    account = Account(tmp_path / "mails")
    config = load(Config, data_dir=tmp_path, imap_url=account.url())
    store, queue = open_store(config), CaseQueue(config)
    stack.callback(store.close)
    stack.callback(queue.close)
    intake, stop = Intake(config, store, queue), threading.Event()
    thread = threading.Thread(target=intake.watch, args=(stop, 0.1))
    stack.callback(thread.join)
    stack.callback(stop.set)
    with caplog.at_level(logging.WARNING):
        thread.start()
        until(lambda: caplog.messages)
    assert "mailbox cannot be read" in caplog.messages[0]
    account.start()
    stack.callback(account.kill)
    account.deliver(mail(0), mail(1, date=NOW - timedelta(days=8)))
    until(lambda: account.subjects("Taken") == ["0", "1"])
    # The first start on an old folder must not answer every mail in it.
    warnings = {case.subject: store.case(case.id).mail.warnings for case in store.cases()}
    assert warnings == {"0": (), "1": ("sent more than 7 days ago",)}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mails_become_cases_once_when_intake_and_server_are_killed(
    account: Account, stack: ExitStack, tmp_path: Path
) -> None:
    config, chance = load(Config, data_dir=tmp_path / "data"), random.Random(38)
    store, queue = open_store(config), CaseQueue(config)
    stack.callback(store.close)
    stack.callback(queue.close)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "WORKFLOW_IMAP_TAKEN": "Done"}
    env |= {"WORKFLOW_DATA_DIR": str(tmp_path / "data"), "WORKFLOW_IMAP_URL": account.url()}

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", INTAKE]
        process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        stack.callback(process.kill)
        return process

    def subjects() -> list[str]:
        return sorted(case.subject for case in store.cases(limit=1000))

    account.deliver(*(mail(number) for number in range(60)))
    for round in range(8):
        before, intake = len(subjects()), start()
        until(lambda before=before: len(subjects()) > before or before == 60)
        time.sleep(chance.uniform(0.0, 1.5))  # the random instant
        if round % 3 == 2:
            account.kill()
            account.start()
        intake.send_signal(signal.SIGKILL)
        intake.wait()
        print(f"round {round}: {len(subjects())} cases")
    start()
    until(lambda: not account.subjects("INBOX"), 400)
    numbers = sorted(map(str, range(60)))
    assert subjects() == numbers
    ids = [f"{case.id}-0" for case in store.cases(limit=1000)]
    assert set(queue.states(ids)) == set(ids)
    assert set(account.subjects("Done")) == set(numbers)
