"""A real IMAP server (pymap) on this machine: mails in, at most once, whatever is cut or killed."""

from __future__ import annotations

import logging
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
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
from agentic_workflow.mail.imap import ImapMailbox
from agentic_workflow.mail.parse import MAX_BYTES
from seedbed.errors import ConfigError, NotFound, TooLarge, Unavailable
from seedbed.settings import load
from seedbed.testing.launch import closed_port, free_port

PASSWORD = "pa@ss/word"
SERVE = "from pymap.main import main; main()"


class Server:
    """A pymap server whose mails are in a folder, so that they survive its death."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.users = folder, free_port(), 0
        folder.mkdir(exist_ok=True)
        self.process: Any = None

    def start(self) -> None:
        command = [sys.executable, "-c", SERVE, "--host", "127.0.0.1", "--port", str(self.port)]
        off = ["--no-tls", "--no-service", "managesieve", "--no-service", "admin"]
        self.process = subprocess.Popen(
            [*command, *off, "maildir", str(self.folder)], stderr=subprocess.DEVNULL
        )
        until(lambda: connects(self.port))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def new_account(self) -> Account:
        self.users += 1
        user = f"help{self.users}@shop.example"
        secret = BuiltinHash(rounds=10).hash(PASSWORD)
        for name, line in (
            ("passwd", f"{user}:::::box{self.users}:"),
            ("shadow", f"{user}:{secret}:::::::"),
        ):
            with (self.folder / f"pymap-etc-{name}").open("a") as file:
                file.write(line + "\n")
        return Account(self.port, user)


class Account:
    """A mailbox on the server, as its owner sees it."""

    def __init__(self, port: int, user: str) -> None:
        self.port, self.user = port, user

    def url(self, *, port: int = 0, scheme: str = "imap", password: str = PASSWORD) -> str:
        login = f"{quote(self.user, safe='')}:{quote(password, safe='')}"
        return f"{scheme}://{login}@localhost:{port or self.port}"

    @contextmanager
    def client(self) -> Iterator[Any]:
        with IMAPClient("127.0.0.1", self.port, ssl=False, timeout=30) as client:
            client.login(self.user, PASSWORD)
            yield client

    def deliver(self, *mails: bytes) -> None:
        with self.client() as client:
            for mail in mails:
                client.append("INBOX", mail)

    def count(self, folder: str) -> int:
        with self.client() as client:
            client.select_folder(folder, readonly=True)
            return len(client.search("UNDELETED"))

    def subjects(self, folder: str) -> list[str]:
        with self.client() as client:
            client.select_folder(folder, readonly=True)
            mails = client.fetch(client.search("UNDELETED"), ["ENVELOPE"]).values()
        return sorted(mail[b"ENVELOPE"].subject.decode() for mail in mails)


class Proxy:
    """Forwards connections to a port; cuts, encrypts or changes what the server sends."""

    def __init__(
        self,
        port: int,
        *,
        cuts: Callable[[], int | None] = lambda: None,
        tls: ssl.SSLContext | None = None,
        change: Callable[[bytes], bytes] = lambda data: data,
    ) -> None:
        self._target, self._cuts, self._tls, self._change = port, cuts, tls, change
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
            client = connection
            if self._tls:
                client = self._tls.wrap_socket(connection, server_side=True)
            with client:
                threading.Thread(target=self._upload, args=(client, server), daemon=True).start()
                left = self._cuts()
                while left != 0 and (data := server.recv(65536)):
                    data = data if left is None else data[:left]
                    client.sendall(self._change(data))
                    left = None if left is None else left - len(data)
                client.shutdown(socket.SHUT_RDWR)  # also for the thread that uploads

    def _upload(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)


def connects(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def until(condition: Callable[[], Any], seconds: float = 120.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)
    return value


def mail(number: int, text: str = "Where is it?") -> bytes:
    lines = f"From: c{number}@mail.example", f"Subject: {number}", f"Message-ID: <{number}@x>"
    return "\r\n".join([*lines, "", text, ""]).encode("latin-1")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("imap") / "mails")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def account(server: Server) -> Account:
    return server.new_account()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def open_mailbox(stack: ExitStack, url: str, taken: str = "Taken") -> ImapMailbox:
    mailbox = ImapMailbox(url, taken)
    stack.callback(mailbox.close)
    return mailbox


def test_mails_are_read_as_they_came_and_move_when_done(account: Account, stack: ExitStack) -> None:
    account.deliver(mail(1, "Grüße"), mail(2))
    mailbox = open_mailbox(stack, account.url())
    first, second = mailbox.new()
    assert mailbox.read(first).splitlines() == mail(1, "Grüße").splitlines()
    mailbox.done(first)
    assert mailbox.new() == [second]
    assert (account.subjects("INBOX"), account.subjects("Taken")) == (["2"], ["1"])
    with pytest.raises(NotFound, match="left the folder"):
        mailbox.read(first)


@pytest.mark.parametrize("missing", [b" MOVE", b" MOVE UIDPLUS"])
def test_server_without_extensions_moves_mails_too(
    account: Account, stack: ExitStack, missing: bytes
) -> None:
    def without(data: bytes) -> bytes:
        for word in missing.split():
            data = data.replace(b" " + word, b" X" + word[1:])
        return data

    proxy = Proxy(account.port, change=without)
    stack.callback(proxy.close)
    account.deliver(mail(1), mail(2))
    mailbox = open_mailbox(stack, account.url(port=proxy.port))
    mailbox.done(mailbox.new()[0])
    assert len(mailbox.new()) == 1
    with account.client() as client:  # not by subject: pymap 0.36 loses the text of a copy
        assert client.folder_status("Taken", ["MESSAGES"]) == {b"MESSAGES": 1}


def test_folder_of_the_url_is_read(account: Account, stack: ExitStack) -> None:
    with account.client() as client:
        client.create_folder("Help desk")
        client.append("Help desk", mail(7))
    mailbox = open_mailbox(stack, f"{account.url()}/Help%20desk")
    assert len(mailbox.new()) == 1


def test_refused_mail_stays_in_the_folder_and_is_not_listed_again(
    account: Account, stack: ExitStack
) -> None:
    account.deliver(mail(1))
    mailbox = open_mailbox(stack, account.url())
    mailbox.refuse(mailbox.new()[0], "too large")
    assert mailbox.new() == []
    assert account.subjects("INBOX") == ["1"]


@pytest.mark.slow
def test_mail_above_the_limit_is_not_fetched(account: Account, stack: ExitStack) -> None:
    account.deliver(mail(1, "x" * MAX_BYTES))
    mailbox = open_mailbox(stack, account.url())
    with pytest.raises(TooLarge, match="limit is 26,214,400"):
        mailbox.read(mailbox.new()[0])


@pytest.mark.parametrize("url", ["http://a:b@host", "imaps://host", "imaps://", "host"])
def test_wrong_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="WORKFLOW_IMAP_URL"):
        ImapMailbox(url, "Taken")


def test_message_names_what_is_wrong_without_the_password(
    account: Account, stack: ExitStack
) -> None:
    with closed_port() as port:
        wrong = {
            "refused the login of 'help": account.url(password="wr0ng"),
            "cannot open the folder 'Lost'": f"{account.url()}/Lost",
            "does not answer": account.url(port=port),
        }
        for message, url in wrong.items():
            with pytest.raises(Unavailable, match=message) as error:
                open_mailbox(stack, url).new()
            assert PASSWORD not in str(error.value) and "wr0ng" not in str(error.value)
            assert "\n" not in str(error.value)


def test_server_with_an_unknown_certificate_is_refused(
    account: Account, stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*words.split(), *map(str, names)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    proxy = Proxy(account.port, tls=context)
    stack.callback(proxy.close)
    account.deliver(mail(1))
    url = account.url(port=proxy.port, scheme="imaps")
    with pytest.raises(Unavailable, match="certificate verify failed"):
        open_mailbox(stack, url).new()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert len(open_mailbox(stack, url).new()) == 1


# ── with the store and the queue ────────────────────────────────────────────────────────────


class Desk:
    """Takes mails of an account in, in this process or in others."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        config = load(Config, data_dir=folder)
        self.store, self.queue = open_store(config), CaseQueue(config)
        stack.callback(self.store.close)
        stack.callback(self.queue.close)

    def watch(self, url: str) -> None:
        """Take mails in from a thread, until the test ends."""
        config = load(Config, data_dir=self.folder, imap_url=url)
        stop, intake = threading.Event(), Intake(config, self.store, self.queue)
        thread = threading.Thread(target=intake.watch, args=(stop,))
        thread.start()
        self.stack.callback(thread.join)
        self.stack.callback(stop.set)

    def process(self, url: str) -> subprocess.Popen[bytes]:
        code = (
            "import threading; from agentic_workflow.config import Config;"
            "from agentic_workflow.engine.desk import open_store;"
            "from agentic_workflow.engine.intake import Intake;"
            "from agentic_workflow.engine.queue import CaseQueue;"
            "from seedbed.settings import load; config = load(Config);"
            "Intake(config, open_store(config), CaseQueue(config)).watch(threading.Event())"
        )
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        env |= {"WORKFLOW_DATA_DIR": str(self.folder), "WORKFLOW_IMAP_URL": url}
        process = subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL)
        self.stack.callback(process.kill)
        return process

    def subjects(self) -> list[str]:
        return sorted(case.subject for case in self.store.cases(limit=1000))


@pytest.fixture
def desk(tmp_path: Path, stack: ExitStack) -> Desk:
    return Desk(tmp_path / "data", stack)


def check(desk: Desk, account: Account, count: int) -> None:
    """Every mail is one case, is queued, and has moved."""
    until(lambda: not account.count("INBOX"), 400)
    numbers = sorted(map(str, range(count)))
    assert desk.subjects() == numbers
    ids = [case.id for case in desk.store.cases(limit=1000)]
    assert set(desk.queue.states(ids)) == set(ids)
    assert set(account.subjects("Taken")) == set(numbers)


@pytest.mark.slow
def test_mail_that_cannot_be_moved_is_one_case(
    account: Account, stack: ExitStack, desk: Desk
) -> None:
    account.deliver(mail(0))
    config = load(Config, data_dir=desk.folder, imap_url=account.url())
    intake = Intake(config, desk.store, desk.queue)
    stack.callback(intake.mailbox.close)
    for _ in range(2):  # the process died before the move
        intake.take(intake.mailbox.read(intake.mailbox.new()[0]))
    desk.watch(account.url())
    check(desk, account, 1)


@pytest.mark.slow
def test_mail_is_taken_once_the_server_is_back(
    tmp_path: Path, stack: ExitStack, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(tmp_path / "mails")
    account = server.new_account()
    with caplog.at_level(logging.WARNING):
        desk.watch(account.url())
        until(lambda: caplog.messages)
    assert "does not answer" in caplog.messages[0]
    assert "Next attempt in 1 s." in caplog.messages[0]
    server.start()
    stack.callback(server.kill)
    account.deliver(mail(0))
    check(desk, account, 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mails_become_cases_once_over_a_connection_that_is_cut(
    account: Account, stack: ExitStack, desk: Desk
) -> None:
    chance, connections = random.Random(37), Counter[str]()

    def cut() -> int | None:
        connections["all"] += 1
        return chance.randint(100, 4000) if connections["all"] < 25 else None

    proxy = Proxy(account.port, cuts=cut)
    stack.callback(proxy.close)
    account.deliver(*(mail(number, "word " * 100) for number in range(30)))
    desk.watch(account.url(port=proxy.port))
    check(desk, account, 30)
    assert account.subjects("Taken") == sorted(map(str, range(30)))
    assert connections["all"] > 5
    print(f"{connections['all']} connections for 30 mails")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mails_become_cases_once_when_intake_and_server_are_killed(
    tmp_path: Path, stack: ExitStack, desk: Desk
) -> None:
    server, chance = Server(tmp_path / "mails"), random.Random(38)
    account = server.new_account()
    server.start()
    stack.callback(lambda: server.kill())
    account.deliver(*(mail(number) for number in range(60)))
    for round in range(8):
        before = len(desk.subjects())
        intake = desk.process(account.url())
        until(lambda before=before: len(desk.subjects()) > before or before == 60)
        time.sleep(chance.uniform(0.0, 1.5))  # the random instant
        if round % 3 == 2:
            server.kill()
            server.start()
        intake.send_signal(signal.SIGKILL)
        intake.wait()
        print(f"round {round}: {len(desk.subjects())} cases")
    desk.process(account.url())
    check(desk, account, 60)
